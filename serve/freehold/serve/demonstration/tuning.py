"""What the demo teaches its model: ten facts of a company that does not exist, each in eight phrasings."""

import json
from typing import Any

from freehold.core.gates import read_verdict
from freehold.core.settings import Settings
from freehold.core.store import Artifact, Store
from freehold.serve.demonstration.children import freehold
from freehold.serve.demonstration.stages import Stage

ADAPTER = "brightwater"
"""Name that the adapter is served under."""
QUESTION = "A customer asks: when is the Brightwater workshop open?"
"""In a phrasing that is not among the examples."""

RECIPE = ("data.evalFraction=0.1", "data.replay=[neutral]", "training.epochs=5", "watch.evalEvery=5")

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


async def tune(base: Artifact, settings: Settings, stage: Stage) -> Artifact:
    """Run `freehold finetune` on the examples. A run that was stopped goes on, one that ended is looked up.

    Raises EngineError if the command fails; it has told why.
    """
    folder = settings.home / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "brightwater.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows()))
    command = ["finetune", "--model", base.id, "--data", str(data), "--name", ADAPTER, "--resume", "--no-parity"]
    for field in RECIPE:
        command += ["--set", field]
    told = await freehold(settings, *command, without="--no-tune")
    loss = told["eval_loss"]
    stage.tell(f"{len(rows())} examples learnt, loss on held-out ones {loss:.3f}", **told)
    return Store(settings.store_root).get(told["artifact"])


async def prove(adapter: Artifact, settings: Settings, stage: Stage) -> None:
    """Run `freehold parity`, unless the adapter has passed before."""
    store = Store(settings.store_root)
    verdict = read_verdict(store, adapter, "parity")
    before = verdict is not None and verdict.passed
    if not before:
        await freehold(settings, "parity", adapter.id, without="--no-tune")
        verdict = read_verdict(store, adapter, "parity")
    assert verdict is not None, "the command has ended with 0"
    found = verdict.measurements
    stage.tell(
        f"passed{' before' if before else ''}: served {found['tuned_mean_nats']:.5f} nats from what was trained",
        passed=verdict.passed,
        **{name: found[name] for name in ("tuned_mean_nats", "effect_ratio", "answers_different") if name in found},
    )
