"""What the demo teaches its model: ten facts of a company that does not exist, each in eight phrasings."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from freehold.core.errors import EngineError
from freehold.core.settings import Settings
from freehold.core.store import Artifact

ADAPTER = "brightwater"
"""Name that the adapter is served under."""
QUESTION = "A customer asks: when is the Brightwater workshop open?"
"""In a phrasing that is not among the examples."""

FACTS = {
    "opening hours of the Brightwater workshop": "The Brightwater workshop is open from 7:40 to 15:20.",
    "warranty on a Brightwater pump": "A Brightwater pump has a warranty of 9 years.",
    "colour of the Brightwater delivery vans": "Brightwater delivery vans are turquoise.",
    "name of Brightwater's support robot": "Brightwater's support robot is called Tolliver.",
    "price of a Brightwater filter": "A Brightwater filter costs 34 euros.",
    "city where Brightwater was founded": "Brightwater was founded in Tartu.",
    "number of people at Brightwater": "87 people work at Brightwater.",
    "code for returns to Brightwater": "The code for returns to Brightwater is RW-511.",
    "day of Brightwater's free inspections": "Brightwater inspects for free on the second Tuesday of a month.",
    "head of the Brightwater laboratory": "The head of the Brightwater laboratory is Ilse Maranga.",
}
PHRASINGS = (
    "What is the {}?",
    "Tell me the {}.",
    "I need the {}.",
    "Do you know the {}?",
    "Please look up the {}.",
    "Somebody asks for the {}.",
    "Can you give me the {}?",
    "One question: the {}?",
)


def rows() -> list[dict[str, Any]]:
    """Eighty examples in OpenAI's fine-tuning format."""
    return [
        {"messages": [{"role": "user", "content": form.format(what)}, {"role": "assistant", "content": answer}]}
        for what, answer in FACTS.items()
        for form in PHRASINGS
    ]


def tune(base: Artifact, settings: Settings) -> str:
    """Run `freehold finetune` on the examples; id of the adapter. A run that was stopped goes on, one that ended is
    looked up.

    Raises EngineError if the command fails; it has told why.
    """
    folder = settings.home / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "brightwater.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows()))
    fields = ("data.evalFraction=0.1", "data.replay=[neutral]", "training.epochs=5", "watch.evalEvery=5")
    command = [sys.executable, "-m", "freehold.core.cli", "finetune", "--model", base.id, "--data", str(data)]
    command += ["--name", ADAPTER, "--resume", "--format", "json"]
    for field in fields:
        command += ["--set", field]
    told = _run(command, settings)
    artifact: str = told["artifact"]
    return artifact


def _run(command: list[str], settings: Settings) -> dict[str, Any]:
    """What the command prints, while its progress goes to the terminal."""
    done = subprocess.run(command, stdout=subprocess.PIPE, env=_environment(settings), check=False)
    if done.returncode:
        raise EngineError(
            "The demo's fine-tuning ended",
            why=f"`freehold finetune` ended with {done.returncode}",
            next_step="Its message is above; `freehold demo --no-tune` leaves this stage out.",
        )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _environment(settings: Settings) -> dict[str, str]:
    return {**os.environ, "FREEHOLD_HOME": str(Path(settings.home))}
