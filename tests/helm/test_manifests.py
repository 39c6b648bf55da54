"""`manifests/kubernetes` is what the chart renders today; `make chart` writes it anew."""

import os

import pytest
import yaml
from fixtures.chart.manifests import FOLDER, SETS, manifest
from fixtures.chart.rendering import Packaged
from fixtures.chart.rules import RULES
from fixtures.chart.schemas import NEWEST, OLDEST, core_problems, crd_folder, custom_problems, is_custom

HELMS_OWN = {"labels_are_the_recommended", "data_survives_uninstall", "tests_clean_up"}
"""Rules about what Helm alone reads: the label `managed-by`, its annotations, its test."""


@pytest.mark.parametrize("name", SETS)
def test_the_set_is_fresh(chart: Packaged, name: str) -> None:
    path = FOLDER / f"{name}.yaml"
    text = manifest(chart, name)
    if os.environ.get("WRITE_PAGE"):
        path.write_text(text)
    assert path.read_text() == text, "run `make chart`"


def test_there_is_a_set_for_each_of_the_values() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(SETS)
    readme = (FOLDER / "README.md").read_text()
    assert [name for name in SETS if f"({name}.yaml)" not in readme] == []


@pytest.mark.parametrize("name", SETS)
def test_the_set_needs_no_helm(name: str) -> None:
    text = (FOLDER / f"{name}.yaml").read_text()
    assert "helm.sh" not in text
    objects = list(yaml.safe_load_all(text))
    assert len(objects) > 15
    assert {each["kind"] for each in objects} & {"Pod", "Secret"} == set()
    for version in (OLDEST, NEWEST):
        assert [p for each in objects if not is_custom(each) for p in core_problems(each, version)] == []
    for rule in RULES.keys() - HELMS_OWN:
        assert list(RULES[rule](objects)) == [], rule


def test_custom_objects_of_sets_are_valid() -> None:
    folder = crd_folder()
    for name in SETS:
        objects = [each for each in yaml.safe_load_all((FOLDER / f"{name}.yaml").read_text()) if is_custom(each)]
        assert [problem for each in objects for problem in custom_problems(each, folder)] == []
