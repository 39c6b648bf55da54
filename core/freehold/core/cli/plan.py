"""`freehold plan MODEL | --replace CLOSED | fit MODEL`: does it fit, how fast, at what cost."""

import dataclasses
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from freehold.core.cli.options import Format, FormatOption, examples
from freehold.core.cli.output import print_json
from freehold.core.cli.plan_output import plan_data, print_candidates, print_gpus, print_plan
from freehold.core.errors import RefusedError, UserError
from freehold.core.manifest import load_catalogue
from freehold.core.plan.candidates import Candidate, PassedOver, candidates
from freehold.core.plan.closed import closed_models, find_closed
from freehold.core.plan.emitting import deployment
from freehold.core.plan.engine_memory import Adapters
from freehold.core.plan.fitting import Demand
from freehold.core.plan.gpus import Gpus, parse_gpus
from freehold.core.plan.machine import gpus_here
from freehold.core.plan.planning import Plan, plan
from freehold.core.plan.speed import Load
from freehold.core.plan.subject import find_subject
from freehold.core.plan.weights import WIDTHS
from freehold.core.progress import hint
from freehold.core.settings import Settings, load_settings

app = typer.Typer()

EXAMPLES = examples(
    "freehold plan qwen3-32b --gpus 2xH100-80GB --context 32k --concurrency 64",
    "freehold plan qwen3-32b --gpus 1xL40S --variant fp8 --adapters 8 --rank 16 --gpu-hour 1.20",
    "freehold plan --replace gpt-4o-mini --gpus 1xL40S",
    "freehold plan fit smollm2-135m-instruct --gpus 1xL4",
    "freehold plan qwen3-32b --gpus 2xH100-80GB --emit freehold.yaml",
)


class KvCache(StrEnum):
    """What the engine keeps keys and values in."""

    AUTO = "auto"
    FP8 = "fp8"


@app.command(epilog=EXAMPLES)
def plan_command(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[fit] MODEL", help="Catalogue id, artifact or ./folder; `fit` reads this machine."),
    ] = None,
    gpus: Annotated[str | None, typer.Option(help="How many of which: 2xH100-80GB.")] = None,
    context: Annotated[str, typer.Option(help="Tokens of one sequence, prompt and answer: 32k is 32,768.")] = "8k",
    concurrency: Annotated[int, typer.Option(min=1, help="Sequences at once.")] = 16,
    adapters: Annotated[int, typer.Option(min=0, help="Adapters that may answer in one batch.")] = 0,
    rank: Annotated[int, typer.Option(min=1, help="Largest rank of an adapter.")] = 16,
    variant: Annotated[str | None, typer.Option(help=f"Precision of the weights: {', '.join(WIDTHS)}.")] = None,
    kv_cache: Annotated[KvCache, typer.Option(help="Precision of the cache.")] = KvCache.AUTO,
    prompt: Annotated[int, typer.Option(min=1, help="Tokens of a prompt, on average.")] = 1000,
    output: Annotated[int, typer.Option(min=1, help="Tokens of an answer, on average.")] = 250,
    gpu_hour: Annotated[float | None, typer.Option(min=0, help="Price of one GPU for one hour.")] = None,
    replace: Annotated[str | None, typer.Option(help="A closed model: rank what could take its place.")] = None,
    emit: Annotated[Path | None, typer.Option(help="Write a freehold.yaml that serves it.")] = None,
    list_gpus: Annotated[bool, typer.Option("--list-gpus", help="Show the GPUs that are known, and end.")] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Say whether a model fits some GPUs, how, how fast and at what cost, before it is pulled."""
    if list_gpus:
        print_gpus(form)
        return
    settings = load_settings()
    load = Load(prompt, output)
    demand = Demand(_tokens(context), concurrency, variant or "", Adapters(adapters, rank), kv_cache.value)
    model, here = _target(words or [], replace)
    machine = gpus_here() if here and gpus is None else parse_gpus(_needed(gpus))
    if model is None:
        assert replace is not None
        found, passed = _candidates(replace, machine, demand, load, gpu_hour, settings)
        print_candidates(found, passed, machine, form)
        return
    if emit and emit.exists():
        raise RefusedError(
            f"{emit} is there already", why="it would be lost", next_step="Name another file for --emit."
        )
    made = _plan(model, machine, demand, load, gpu_hour, replace, settings)
    print_json(plan_data(made)) if form is Format.JSON else print_plan(made)
    if emit:
        if not made.suffices:
            raise UserError(
                f"{emit} was not written", why="the plan does not fit", next_step="Ask for less, or for more GPUs."
            )
        emit.write_text(deployment(made))
        hint(f"Wrote {emit}.")


def _target(words: list[str], replace: str | None) -> tuple[str | None, bool]:
    """The model, and whether this machine's GPUs are meant."""
    here = len(words) == 2 and words[0] == "fit"
    model = words[-1] if words else None
    if len(words) > 1 + here or (model is None and replace is None):
        raise UserError(
            "Say which model" if model is None else f"{' '.join(words)!r} is more than one model",
            next_step="freehold plan MODEL --gpus 2xH100-80GB, or freehold plan --replace gpt-4o-mini --gpus 1xL40S",
        )
    return model, here


def _needed(gpus: str | None) -> str:
    if gpus is None:
        raise UserError("Say which GPUs", next_step="--gpus 2xH100-80GB; `freehold plan --list-gpus` shows the names.")
    return gpus


def _tokens(text: str) -> int:
    found = re.fullmatch(r"(\d+)(k?)", text.strip().lower())
    if not found or not int(found[1]):
        raise UserError(f"--context {text!r} is no number of tokens", next_step="Write 32768 or 32k.")
    return int(found[1]) * (1024 if found[2] else 1)


def _plan(
    model: str, gpus: Gpus, demand: Demand, load: Load, gpu_hour: float | None, closed: str | None, settings: Settings
) -> Plan:
    subject = find_subject(model, settings)
    precision = demand.precision or subject.precision
    if precision not in WIDTHS and precision != subject.precision:
        raise UserError(f"--variant {precision!r} is no precision", why=f"there are {', '.join(WIDTHS)}")
    wanted = dataclasses.replace(demand, precision=precision)
    return plan(subject, gpus, wanted, load, gpu_hour=gpu_hour, closed=find_closed(closed) if closed else None)


def _candidates(
    closed_name: str, gpus: Gpus, demand: Demand, load: Load, gpu_hour: float | None, settings: Settings
) -> tuple[list[Candidate], list[PassedOver]]:
    catalogue = load_catalogue(settings.manifests_root)
    closed = closed_models().get(closed_name)
    if closed is None and not any(closed_name in {each.model for each in model.replaces} for model in catalogue):
        find_closed(closed_name)
    return candidates(closed_name, closed, catalogue, gpus, demand, load, gpu_hour)
