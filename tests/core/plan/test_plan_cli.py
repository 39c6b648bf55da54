"""`freehold plan` as it is typed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.models import add_artifact, read_files
from typer.testing import CliRunner, Result

from freehold.core.cli.plan import app
from freehold.core.errors import EnvironmentProblem, FreeholdError, NotFoundError, UserError
from freehold.core.store import Store
from freehold.serve.config import DeploymentConfig


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path))
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def data(*arguments: str) -> Any:
    ended = run(*arguments, "--format", "json")
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout)


def error(*arguments: str) -> FreeholdError:
    ended = run(*arguments)
    assert isinstance(ended.exception, FreeholdError), ended.output
    return ended.exception


def test_what_is_printed_says_why_no_more_fits() -> None:
    ended = run("qwen3-32b", "--gpus", "2xH100-80GB", "--context", "32k", "--concurrency", "8")
    assert "asked for:       8 sequences of 32,768 tokens" in ended.stdout
    assert "fits:            yes" in ended.stdout
    assert re.search(r"apart: +[\d,]+ tokens/s of prompts, [\d,]+ of answers", ended.stdout)
    assert "are left for the cache beside weights" in ended.stdout
    assert "roofline" in ended.stderr
    assert "roofline" not in ended.stdout


def test_what_does_not_fit_says_what_would() -> None:
    ended = run("llama-3.3-70b-instruct", "--gpus", "1xL40S")
    assert "fits:            no" in ended.stdout
    assert "it does not load: weights" in ended.stdout
    assert "It would fit 8 × NVIDIA L40S 48GB" in ended.stderr


def test_numbers_as_json() -> None:
    found = data("qwen3-8b", "--gpus", "1xL40S", "--gpu-hour", "1.2", "--replace", "gpt-4o-mini")
    assert found["fits"] is True
    assert found["per_gpu_bytes"]["cache"] > 0
    assert found["cost"]["hour"] == 1.2
    assert found["break_even"]["requests_per_hour"] > 0


def test_an_artifact_is_planned_for_by_its_files(home: Path, tiny_model: Path) -> None:
    artifact = add_artifact(Store(home / "store"), "tiny", read_files(tiny_model))
    found = data("tiny", "--gpus", "1xL4", "--context", "256")
    stored = (artifact.path / "model.safetensors").stat().st_size
    assert found["per_gpu_bytes"]["weights"] == pytest.approx(stored, rel=0.01)
    assert found["model"] == artifact.id
    folder = data(str(artifact.path), "--gpus", "1xL4", "--context", "256")
    assert folder["per_gpu_bytes"] == found["per_gpu_bytes"]


def test_ones_own_manifest_is_planned_for(home: Path) -> None:
    own = home / "manifests"
    own.mkdir()
    (own / "nothing-known.yaml").write_text(
        yaml.safe_dump(
            {
                "id": "nothing-known",
                "title": "t",
                "publisher": "p",
                "description": "d",
                "family": "own",
                "roles": ["small"],
                "license": {"spdx": "MIT", "source": "https://example.org"},
                "source": {"kind": "hub", "repo": "acme/own"},
                "architecture": "LlamaForCausalLM",
                "parametersTotal": 1,
                "contextTokens": 1,
                "modalities": {"takes": ["text"], "gives": ["text"]},
                "sources": [{"url": "https://example.org", "by": "publisher", "says": ["license"]}],
            }
        )
    )
    found = error("nothing-known", "--gpus", "1xL4")
    assert "its manifest has no config" in str(found)
    assert found.next_step.endswith("freehold pull nothing-known")


@pytest.mark.parametrize(
    ("arguments", "kind", "told"),
    [
        ((), UserError, "Say which model"),
        (("qwen3-8b",), UserError, "Say which GPUs"),
        (("qwen3-8b", "qwen3-32b", "--gpus", "1xL4"), UserError, "is more than one model"),
        (("qwen3-8b", "--gpus", "1xL4", "--context", "much"), UserError, "is no number of tokens"),
        (("qwen3-8b", "--gpus", "1xL4", "--variant", "fp3"), UserError, "is no precision"),
        (("qwen3-9b", "--gpus", "1xL4"), NotFoundError, "qwen3-8b"),
        (("--replace", "gpt-99", "--gpus", "1xL4"), NotFoundError, "No closed model"),
        (("bge-m3", "--gpus", "1xL4"), UserError, "generates no text"),
        (("deepseek-v4.1-flash", "--gpus", "8xH200-SXM"), UserError, "does not know the shape"),
        (("qwen3-8b", "--gpus", "1xL4", "--variant", "mixed"), UserError, "is no precision"),
    ],
)
def test_bad_input_is_told(arguments: tuple[str, ...], kind: type[FreeholdError], told: str) -> None:
    found = error(*arguments)
    assert isinstance(found, kind)
    assert told in str(found)


def test_a_machine_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freehold.core.plan.machine.nvidia_smi", lambda *_: [])
    assert isinstance(error("fit", "qwen3-8b"), EnvironmentProblem)
    monkeypatch.setattr("freehold.core.plan.machine.nvidia_smi", lambda *_: ["NVIDIA L40S, 46068"])
    assert data("fit", "qwen3-8b")["gpus"]["title"] == "NVIDIA L40S 48GB"


def test_candidates_for_a_closed_model() -> None:
    found = data("--replace", "gpt-4o-mini", "--gpus", "1xL40S", "--gpu-hour", "1.2")
    sizes = [each["per_gpu_bytes"]["weights"] for each in found["candidates"] if not each["named"]]
    assert len(found["candidates"]) >= 3
    assert all(each["fits"] for each in found["candidates"])
    assert sizes
    names = [each["named"] for each in found["candidates"]]
    assert names == sorted(names, reverse=True)
    assert any("lacks" in each["reason"] for each in found["passed_over"])
    table = run("--replace", "gpt-4o-mini", "--gpus", "1xL40S")
    assert "no verdict" in table.stderr


@pytest.mark.parametrize(
    ("closed", "gpus", "model", "precision"),
    [
        ("gpt-5.4", "8xH200-SXM", "deepseek-v4-pro", "mixed"),
        ("gpt-4o-mini", "8xH200-SXM", "minimax-m3", "bf16"),
        ("gpt-4o-mini", "4xH200-SXM", "minimax-m3", "fp8"),
        ("magistral-medium-latest", "4xH200-SXM", "deepseek-v4-flash", "mixed"),
    ],
)
def test_compressed_and_sparse_models_are_candidates(closed: str, gpus: str, model: str, precision: str) -> None:
    found = {each["model"]: each for each in data("--replace", closed, "--gpus", gpus)["candidates"]}
    assert found[model]["precision"] == precision
    assert found[model]["most_at_once"] >= 16


def test_what_vllm_logs_is_told_where_it_says_less() -> None:
    asked = ("--gpus", "8xH200-SXM", "--context", "32k")
    found = data("deepseek-v4-flash", *asked)
    assert found["logged_at_once"] < 0.1 * found["most_at_once"]
    assert found["per_gpu_bytes"]["admitted"] > found["per_gpu_bytes"]["sequence"]
    told = run("deepseek-v4-flash", *asked).stdout
    assert f"vLLM logs:       {found['logged_at_once']:,.1f} at once" in told
    assert "must be free before one is taken on" in told
    assert "vLLM logs" not in run("minimax-m3", *asked).stdout


def test_one_that_its_publisher_names_comes_first() -> None:
    from freehold.core.manifest import load_catalogue

    named = {r.model for each in load_catalogue() for r in each.replaces}
    model = next(name for name in ("gpt-4o", "o3-mini", "o4-mini", "gpt-4o-mini") if name in named)
    found = data("--replace", model, "--gpus", "8xB200")["candidates"]
    assert found[0]["named"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("qwen3-32b", "--gpus", "2xH200-SXM", "--context", "16k", "--adapters", "4", "--rank", "12", "--gpu-hour", "3"),
        ("qwen3-32b", "--gpus", "4xL40S", "--variant", "fp8", "--kv-cache", "fp8"),
        ("qwen3-8b", "--gpus", "1xL4", "--variant", "int4", "--concurrency", "2"),
        ("llama-3.3-70b-instruct", "--gpus", "16xL40S"),
        ("deepseek-v4-flash", "--gpus", "4xH200-SXM", "--kv-cache", "fp8"),
        ("minimax-m3", "--gpus", "8xH200-SXM", "--kv-cache", "fp8"),
    ],
)
def test_what_is_emitted_can_be_served(arguments: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "freehold.yaml"
    ended = run(*arguments, "--emit", str(path))
    assert ended.exit_code == 0, ended.output
    text = path.read_text()
    config = DeploymentConfig.model_validate(yaml.safe_load(text))
    (served,) = config.models.values()
    assert served.engine.kind == "process"
    assert "# First: freehold pull " in text
    assert text.count("--kv-cache-dtype") == ("--kv-cache" in arguments)


def test_nothing_is_emitted_that_does_not_fit(tmp_path: Path) -> None:
    found = error("llama-3.3-70b-instruct", "--gpus", "1xL4", "--emit", str(tmp_path / "freehold.yaml"))
    assert "was not written" in str(found)
    assert not (tmp_path / "freehold.yaml").exists()


def test_a_file_that_is_there_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "freehold.yaml"
    path.write_text("models: {}")
    assert "is there already" in str(error("qwen3-8b", "--gpus", "1xL40S", "--emit", str(path)))
    assert path.read_text() == "models: {}"


def test_the_gpus_that_are_known() -> None:
    listed = json.loads(run("--list-gpus", "--format", "json").stdout)
    assert {"name", "memory", "bandwidth"} <= set(listed[0])
