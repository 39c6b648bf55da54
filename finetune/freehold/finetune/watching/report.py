"""The live page of a run: one file without anything from elsewhere; it reloads itself while the run goes."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from freehold.core.chart.curves import Line, legend, smoothed, svg
from freehold.core.chart.page import STYLE
from freehold.core.store.atomic import write_atomically
from freehold.finetune.watching.metrics import Metrics
from freehold.finetune.watching.samples import Sample

RELOAD_S = 5


def loss_lines(metrics: Metrics) -> list[Line]:
    """Training and evaluation loss, as both pictures show them."""
    loss = metrics.curve("loss")
    lines = [Line("loss", "#9db7e5", loss, 1.0), Line("loss, smoothed", "#2b6cd4", smoothed(loss), 2.0)]
    evaluation = metrics.curve("eval_loss")
    return [*lines, Line("evaluation loss", "#d4572b", evaluation, 2.0)] if evaluation else lines


def write_report(
    path: Path, title: str, state: str, facts: Mapping[str, Any], metrics: Metrics, samples: Sequence[Sample]
) -> None:
    """Write the page. `state` is `running` while it shall reload itself; `facts` are shown as they are."""
    reload = f'<meta http-equiv="refresh" content="{RELOAD_S}">' if state == "running" else ""
    charts = [("Loss", loss_lines(metrics))]
    charts += [
        (name, [Line(unit, "#2b6cd4", points)])
        for name, unit, points in (
            ("Learning rate", "rate", metrics.curve("learning_rate")),
            ("Speed", "tokens/s", metrics.curve("tokens_per_s")),
            ("Gradient", "norm", metrics.curve("grad_norm")),
        )
        if points
    ]
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>" for name, value in facts.items())
    pictures = "".join(f"<h2>{name}</h2>{svg(lines)}<p>{legend(lines)}</p>" for name, lines in charts)
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{reload}<title>{escape(title)}</title>'
        f'<style>{STYLE}</style></head><body><h1>{escape(title)}</h1><p class="state">{escape(state)}</p>'
        f"<table>{rows}</table>{pictures}{_samples(samples)}</body></html>\n"
    )
    write_atomically(path, page.encode())


def _samples(samples: Sequence[Sample]) -> str:
    if not samples:
        return ""
    head = "<tr><th>step</th><th>prompt</th><th>expected</th><th>answer</th></tr>"
    rows = "".join(
        f"<tr><td>{sample.step}</td>"
        + "".join(f"<td><pre>{escape(text)}</pre></td>" for text in (sample.prompt, sample.expected, sample.answer))
        + "</tr>"
        for sample in reversed(samples)
    )
    return f"<h2>Answers</h2><table>{head}{rows}</table>"
