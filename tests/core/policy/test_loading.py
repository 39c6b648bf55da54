"""Where policies are found, and what is wrong with one that cannot be read."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.policies import write_policy
from fixtures.signing import issue, make_key

from freehold.core.errors import ConfigError, NotFoundError
from freehold.core.policy import find_policies, read_policy
from freehold.core.policy.schema import policy_schema
from freehold.core.settings import Settings, load_settings

ROOT = Path(__file__).parents[3]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def test_without_one_there_is_none(settings: Settings) -> None:
    assert find_policies(settings) == ()


def test_the_variable_wins_over_the_data_folder_and_the_deployments_comes_on_top(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = write_policy(settings.own_policy, licenses={"allow": ["MIT"]})
    named = write_policy(tmp_path / "named.yaml", licenses={"allow": ["MIT"]})
    deployment = write_policy(tmp_path / "deployment.yaml", formats={"allow": ["safetensors"]})
    assert [file.path for file in find_policies(settings)] == [own]
    monkeypatch.setenv("FREEHOLD_HOME", str(settings.home))
    monkeypatch.setenv("FREEHOLD_POLICY", str(named))
    assert [file.path for file in find_policies(load_settings(), deployment)] == [named, deployment]


@pytest.mark.parametrize("where", ["variable", "deployment", "link"])
def test_one_that_is_named_and_not_there_is_an_error(settings: Settings, tmp_path: Path, where: str) -> None:
    gone = tmp_path / "gone.yaml"
    named, deployment = (gone if where == one else None for one in ("variable", "deployment"))
    if where == "link":
        settings.own_policy.parent.mkdir()
        settings.own_policy.symlink_to(gone)
    with pytest.raises(NotFoundError, match="No policy file .* names it|it is a link to nowhere") as error:
        find_policies(Settings(home=settings.home, policy_file=named), deployment)
    assert error.value.exit_code == 3 and error.value.next_step


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it holds no rule; rules are licenses, publishers"),
        ("licenses: {allow: [Apache]}", "licenses.allow.0: value error, no SPDX identifier"),
        ("licenses: {allow: ['MIT OR Apache-2.0']}", "no SPDX identifier"),
        ("licenses: {}", "licenses: value error, it needs allow, commercialUse or deny"),
        ("licenses: {stated: {'/srv/x': MIT}, allow: [MIT]}", "licenses.stated./srv/x"),
        ("licences: {allow: [MIT]}", "licences: unknown key"),
        ("publishers: {allow: []}", "publishers.allow: tuple should have at least 1 item"),
        ("publishers: {allow: [Qwen/*]}", "a source is written KIND:PLACE"),
        ("publishers: {allow: ['hub:Qwen*']}", "hub:OWNER/*"),
        ("formats: {allow: [zip]}", "formats.allow.0: input should be 'safetensors'"),
        ("evaluations: {}", "it needs suites or maxAgeDays"),
        ("evaluations: {maxAgeDays: 0}", "evaluations.maxAgeDays: input should be greater than 0"),
        ("evaluations: {maxAgeDays: .inf}", "evaluations.maxAgeDays: input should be a finite number"),
        ("gates: {require: [taste]}", "gates.require.0: input should be 'parity'"),
        ("signatures: {}", "it needs keys or certificates"),
        ("signatures: {keys: [none.pub]}", "signatures: .*none.pub: No such file"),
        ("signatures: {keys: [site.key]}", "signatures: .*site.key: a private key"),
        ("- a", "(top level)"),
        ("a: [", "is not YAML"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    make_key(tmp_path)
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        read_policy(path)
    assert error.value.next_step
    said = str(error.value)
    *_, last = problem.split(".*")
    assert str(path) in said and problem.split(".*")[0] in said and last in said


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    path = write_policy(tmp_path / "policy.yaml", licenses={"allow": ["x"]}, evaluations={"maxAgeDays": 0})
    with pytest.raises(ConfigError) as error:
        read_policy(path)
    assert len(error.value.problems) == 2


def _examples() -> list[dict[str, Any]]:
    """The YAML blocks of the manual that are policies."""
    page = (ROOT / "docs" / "policy.md").read_text()
    blocks = [yaml.safe_load(part.partition("```")[0]) for part in page.split("```yaml\n")[1:]]
    return [block for block in blocks if not {"models", "policy"} & block.keys()]


def test_the_manuals_examples_are_policies(tmp_path: Path) -> None:
    make_key(tmp_path)
    issue(tmp_path, authority_name="site-ca")
    assert len(_examples()) >= 2
    for rules in _examples():
        read_policy(write_policy(tmp_path / "policy.yaml", **rules))


def test_the_published_schema_is_fresh_and_takes_the_examples() -> None:
    import jsonschema

    schema = json.loads((ROOT / "manifests" / "policy.schema.json").read_text())
    assert schema == policy_schema(), "run `make docs`"
    for rules in _examples():
        jsonschema.validate(rules, schema)
