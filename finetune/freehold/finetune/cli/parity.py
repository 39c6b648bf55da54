"""`freehold parity ARTIFACT…`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from freehold.core.cli.options import Format, FormatOption, examples
from freehold.core.cli.output import print_json, print_rows
from freehold.core.errors import GateError
from freehold.core.gates import Verdict
from freehold.core.settings import load_settings
from freehold.core.store import Store

app = typer.Typer()

EXAMPLES = examples(
    "freehold parity smollm2-135m-instruct-tuned",
    "freehold parity smollm2-135m-instruct-tuned --dtype bfloat16 --format json",
    "freehold parity smollm2-135m-instruct-tuned --engine-python vllm-0.32.0",
)
COLUMNS = ("artifact", "verdict", "effect", "tuned_nats", "base_nats", "answers_different", "cause")


@app.command(epilog=EXAMPLES)
def parity(
    artifacts: Annotated[
        list[str], typer.Argument(metavar="ARTIFACT…", help="Adapters or merged models: ids, or names in the store.")
    ],
    model: Annotated[
        str | None, typer.Option(help="Serve adapters on this artifact instead of the one they were trained on.")
    ] = None,
    engine_python: Annotated[
        str | None, typer.Option(help="Engine environment, a name of `freehold engine list` or a Python.")
    ] = None,
    dtype: Annotated[str | None, typer.Option(help="auto, float32, float16 or bfloat16.")] = None,
    max_lora_rank: Annotated[int | None, typer.Option(help="Largest rank that the engine takes.")] = None,
    chat_template: Annotated[
        Path | None, typer.Option(help="A Jinja file that replaces the base's own template.", exists=True)
    ] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Serve what was trained with the real engine, and compare it with the trainer's own model.

    The verdict is kept beside the artifact; `freehold serve` loads no adapter without one that passed.
    """
    from freehold.finetune.parity.judge import GateEngine, judge_together

    settings = load_settings()
    store = Store(settings.store_root)
    options = {
        "python": engine_python,
        "dtype": dtype,
        "maxLoraRank": max_lora_rank,
        "chatTemplate": chat_template.absolute() if chat_template else None,
    }
    engine = GateEngine({name: value for name, value in options.items() if value is not None})
    found = [store.get(artifact) for artifact in artifacts]
    verdicts = judge_together(store, found, settings, base=store.get(model) if model else None, engine=engine)
    _show(verdicts, form)
    if failed := [verdict for verdict in verdicts if not verdict.passed]:
        raise GateError(
            f"{', '.join(verdict.artifact for verdict in failed)} did not pass the parity gate",
            why="; ".join(failed[0].reasons),
            next_step="Correct the cause and judge it again; docs/parity.md has a section on each.",
        )


def _show(verdicts: list[Verdict], form: Format) -> None:
    if form is Format.JSON:
        print_json([verdict.model_dump(mode="json") for verdict in verdicts])
        return
    print_rows([_row(verdict) for verdict in verdicts], COLUMNS, form)


def _row(verdict: Verdict) -> dict[str, Any]:
    found = verdict.measurements
    return {
        "artifact": verdict.artifact,
        "verdict": "passed" if verdict.passed else "failed",
        "effect": f"{found['effect_ratio']:.1%}" if "effect_ratio" in found else None,
        "tuned_nats": f"{found['tuned_mean_nats']:.5f}" if "tuned_mean_nats" in found else None,
        "base_nats": f"{found['base_mean_nats']:.5f}" if "base_mean_nats" in found else None,
        "answers_different": found.get("answers_different"),
        "cause": verdict.reasons[0].partition(":")[0] if verdict.reasons else "",
    }
