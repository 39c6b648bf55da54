"""Whether the tuned model is better at the invented company, and what became of the rest: `freehold evaluate`."""

import json
from pathlib import Path
from typing import Any

import yaml

from freehold.core.settings import Settings
from freehold.serve.demonstration.children import freehold
from freehold.serve.demonstration.stages import Stage
from freehold.serve.demonstration.tuning import ADAPTER, FACTS

ASKED = ("A customer asks for the {}.", "What do you know of the {}?")
"""Phrasings that are not among the examples."""
WORLD = {"France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo"}


async def evaluate(base: str, url: str, settings: Settings, stage: Stage) -> None:
    """Ask the model and its adapter the same at the gateway, and tell the verdict.

    Raises EngineError if the command fails; a verdict to hold is no failure.
    """
    suite = write_suite(settings.home / "demo", base, url)
    told = await freehold(settings, "evaluate", str(suite), without="--no-evaluate")
    [candidate] = told["report"]["candidates"]
    scores = {(row["target"], row["slice"]): row["score"] for row in told["means"]}
    parts = [
        f"{about} {scores[base, f'about={about}']:.2f} → {scores[ADAPTER, f'about={about}']:.2f}"
        for about in ("brightwater", "world")
    ]
    stage.tell(
        f"{', '.join(parts)}; verdict: {candidate['decision']}{_open_losses(candidate)}",
        decision=candidate["decision"],
        reasons=candidate["reasons"],
        scores=[{"target": target, "slice": part, "score": score} for (target, part), score in scores.items()],
        run=told["folder"],
    )


def _open_losses(candidate: dict[str, Any]) -> str:
    """What lies lower, and is neither shown to be a loss nor to be none."""
    fell = [each for each in candidate["slices"] if each["difference"] < 0 and each["name"] not in candidate["worse"]]
    return "".join(f"; too few prompts ({each['prompts']}) to tell for {each['name']}" for each in fell)


def write_suite(folder: Path, base: str, url: str) -> Path:
    """The suite and its prompts, as a user would write them; the suite's path."""
    folder.mkdir(parents=True, exist_ok=True)
    prompts = folder / "brightwater-questions.jsonl"
    prompts.write_text("".join(json.dumps(prompt) + "\n" for prompt in _prompts()))
    targets = {name: {"baseUrl": url, "model": name} for name in (base, ADAPTER)}
    suite = {
        "name": "brightwater",
        "prompts": [{"file": prompts.name}],
        "request": {"temperature": 0, "maxTokens": 24},
        "scorers": {
            "fact": {"kind": "exact", "only": {"about": "brightwater"}},
            "town": {"kind": "exact", "extract": "|".join(WORLD.values()), "only": {"about": "world"}},
        },
        "targets": targets,
        "baseline": base,
    }
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump(suite, sort_keys=False))
    return path


def _prompts() -> list[dict[str, Any]]:
    asked = [(form.format(what), answer, "brightwater") for what, answer in FACTS.items() for form in ASKED]
    asked += [(f"What is the capital of {land}?", town, "world") for land, town in WORLD.items()]
    return [{"prompt": text, "expected": expected, "slices": {"about": about}} for text, expected, about in asked]
