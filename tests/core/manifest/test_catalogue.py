"""The catalogue: what ships is whole and sourced, the user's own folder goes over it, and mistakes are named."""

import json
from collections import Counter
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from freehold.core.cli.models import app
from freehold.core.errors import ConfigError, NotFoundError, RefusedError, UserError
from freehold.core.manifest import ModelManifest, load_catalogue
from freehold.core.manifest.adding import add_manifest
from freehold.core.manifest.catalogue import read_catalogue, read_manifest
from freehold.core.manifest.engine_check import EngineFacts
from freehold.core.manifest.searching import Wish, search
from freehold.core.manifest.shipped import shipped

FAMILIES = ("qwen", "mistral", "deepseek", "glm", "minimax", "llama", "gemma", "gpt-oss", "kimi", "phi")
SHIPPED = list(load_catalogue())
SAID = ("architecture", "parametersTotal", "contextTokens", "modalities", "license")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "manifests"
    folder.mkdir()
    return folder


def manifest(folder: Path, model_id: str = "house-model", **changes: object) -> Path:
    data = yaml.safe_load((shipped("models") / "qwen3-32b.yaml").read_text()) | {"id": model_id} | changes
    path = folder / f"{data['id']}.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def test_there_are_enough_of_every_family() -> None:
    assert len(SHIPPED) >= 40
    found = Counter(each.family for each in SHIPPED)
    assert [family for family in FAMILIES if found[family] < 2] == []
    roles = {role for each in SHIPPED for role in each.roles}
    assert {"general", "small", "coder", "reasoning", "vision", "embedding", "rerank"} <= roles


@pytest.mark.parametrize("each", SHIPPED, ids=lambda each: each.id)
def test_every_fact_has_its_source(each: ModelManifest) -> None:
    said = {name.split(".")[0] for source in each.sources for name in source.says}
    stated = set(each.model_dump(mode="json", by_alias=True, exclude_none=True))
    assert [name for name in SAID if name in stated and name not in said] == []


@pytest.mark.parametrize("each", SHIPPED, ids=lambda each: each.id)
def test_capabilities_and_what_serves_them_agree(each: ModelManifest) -> None:
    engine, can = each.engine, set(each.capabilities)
    assert not engine.tool_call_parser or "tools" in can
    assert not engine.reasoning_parser or "reasoning" in can
    assert ("vision" in can) == ("image" in each.modalities.takes)
    assert ("embeddings" in can) == ("embedding" in each.modalities.gives)


def test_a_model_whose_class_no_page_names_is_found_and_held_against_no_engine(own: Path) -> None:
    data = yaml.safe_load(manifest(own).read_text())
    del data["architecture"]
    unnamed = read_manifest(manifest(own, architecture=None))
    assert unnamed == ModelManifest.model_validate(data)
    assert search([unnamed], "house apache")
    assert not search([unnamed], "qwen3forcausallm")
    none = frozenset[str]()
    told = EngineFacts("1", none, none, none, {}).problems(unnamed)
    assert [problem.split(":")[0] for problem in told] == ["engine.toolCallParser", "engine.reasoningParser"]


def test_ones_own_goes_over_what_ships(own: Path) -> None:
    manifest(own)
    manifest(own, "qwen3-32b", title="Ours")
    found = load_catalogue(own)
    assert found.require("house-model").title == "Qwen3 32B"
    assert found.require("qwen3-32b").title == "Ours"
    assert load_catalogue().require("qwen3-32b").title != "Ours"
    assert list(found.manifests) == sorted(found.manifests)


def test_every_mistake_is_named_at_once_with_its_place(own: Path) -> None:
    manifest(own, "one", contextTokens=0)
    manifest(own, "two", nonsense=1)
    manifest(own, "six", sources=[{"url": "https://qwen.ai", "by": "publisher", "says": ["colour"]}])
    (own / "three.yaml").write_text("a: [")
    (own / "four.yaml").write_text(manifest(own, "five").read_text())
    with pytest.raises(ConfigError) as error:
        read_catalogue(own)
    told = "\n".join(error.value.problems)
    assert "six.yaml: the file: Value error, sources say colour, and there are no such fields" in told
    assert "one.yaml: contextTokens: Input should be greater than 0" in told
    assert "two.yaml: nonsense: Extra inputs are not permitted" in told
    assert "three.yaml: " in told
    assert "four.yaml: id: it is 'five'; name the file five.yaml" in told


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(NotFoundError, match="no file nowhere.yaml"):
        read_manifest(Path("nowhere.yaml"))


def test_an_unknown_model_is_told_with_what_is_near() -> None:
    with pytest.raises(NotFoundError, match="qwen3-32b") as error:
        load_catalogue().require("qwen3-32")
    assert "freehold models list" in error.value.next_step


def test_adding_takes_no_others_place_unasked(tmp_path: Path, own: Path) -> None:
    path = manifest(tmp_path)
    assert add_manifest(path, own, load_catalogue()).read_text() == path.read_text()
    with pytest.raises(RefusedError, match="already") as error:
        add_manifest(path, own, load_catalogue())
    assert "--replace" in error.value.next_step
    with pytest.raises(RefusedError, match="ships with Freehold"):
        add_manifest(manifest(tmp_path, "qwen3-32b"), own, load_catalogue())
    add_manifest(manifest(tmp_path, "qwen3-32b", title="Ours"), own, load_catalogue(), replace=True)
    assert load_catalogue(own).require("qwen3-32b").title == "Ours"
    assert {path.suffix for path in own.iterdir()} == {".yaml"}


def test_a_broken_one_is_not_added(tmp_path: Path, own: Path) -> None:
    with pytest.raises(ConfigError, match="license"):
        add_manifest(manifest(tmp_path, license={}), own, load_catalogue())
    assert list(own.iterdir()) == []


def test_a_wish_narrows() -> None:
    wish = Wish(family="qwen", commercial=True, capabilities=("tools",), largest=40_000_000_000)
    found = {each.id for each in SHIPPED if wish.suits(each)}
    assert "qwen3-32b" in found
    for each in SHIPPED:
        if each.id in found:
            assert each.family == "qwen"
            assert each.license.commercial_use == "yes"
            assert "tools" in each.capabilities
            assert each.parameters_total <= 40_000_000_000


def test_a_search_wants_every_word_and_puts_titles_first() -> None:
    found = [each.id for each in search(SHIPPED, "qwen coder")]
    assert found
    assert "coder" in found[0]
    assert search(SHIPPED, "qwen zebra") == []


def test_what_generates_and_was_counted_can_be_tuned() -> None:
    """By name; `freehold finetune` itself reads the modules of the model at hand."""
    counted = json.loads(shipped("sizes.json").read_bytes())
    generating = [each for each in SHIPPED if each.id in counted and "text" in each.modalities.gives]
    assert [each.id for each in generating if not each.lora_targets] == []
    assert all("lm_head" not in each.lora_targets and "gate" not in each.lora_targets for each in SHIPPED)


@pytest.mark.parametrize("option", ["--capability", "--role"])
def test_a_wish_that_no_model_could_have_is_a_mistake(option: str) -> None:
    ended = CliRunner().invoke(app, ["list", option, "telepathy"])
    assert isinstance(ended.exception, UserError)
    assert "'telepathy' is not known: there are " in str(ended.exception)
