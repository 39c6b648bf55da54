"""What core says that the gateway answers, against the gateway, its rules, and the page of what was tested."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from freehold.core.surface import Feature, Support, surface
from freehold.serve.gateway.endpoints import ENDPOINTS
from freehold.serve.gateway.parameters import rules
from freehold.serve.openapi_reference import openapi_reference

PAGE = Path(__file__).parents[3] / "docs" / "compatibility.md"
WORDS = {Support.YES: ("yes",), Support.CONDITIONS: ("yes", "refused"), Support.NO: ("refused", "no")}
ACTIONS = {Support.NO: "refuse", Support.IGNORED: "hint"}
BESIDE = {"/rerank", "/v1/score", "/score"}
"""Relayed paths that no closed provider has."""


@pytest.fixture(scope="module")
def served() -> set[str]:
    """Every path of a gateway with everything that a gateway can have."""
    return set(json.loads(openapi_reference())["paths"])


@pytest.fixture(scope="module")
def rows() -> dict[tuple[str, str], str]:
    """Results of docs/compatibility.md by section and feature."""
    found: dict[tuple[str, str], str] = {}
    section = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            section = line[3:].strip()
        elif match := re.fullmatch(r"\| (.+?) \| (?:openai|anthropic|plain HTTP) \| (.+) \|", line):
            found[section, match[1]] = match[2]
    return found


def contradictions(features: Mapping[str, Feature], served: set[str], rows: Mapping[tuple[str, str], str]) -> list[str]:
    """Where the surface says other than the gateway, its rules or the page."""
    actions = {(path, rule.parameter): rule.action for path, each in rules().items() for rule in each}
    found: list[str] = []
    for name, feature in features.items():
        there = [path for path in feature.paths if path in served]
        if feature.support in (Support.YES, Support.CONDITIONS) and there != list(feature.paths):
            found.append(f"{name}: the gateway lacks {sorted(set(feature.paths) - set(there))}")
        if feature.support is Support.NO and there:
            found.append(f"{name}: the gateway has {there}")
        for section, row in feature.rows:
            result = rows.get((section, row), "there is no such row")
            if not result.startswith(WORDS.get(feature.support, ("none",))):
                found.append(f"{name}: {section}, {row}: {result}")
        for path, parameter in feature.parameters:
            if actions.get((path, parameter)) != ACTIONS.get(feature.support):
                found.append(f"{name}: {path} {parameter}: {actions.get((path, parameter))}")
        if not (feature.paths or feature.rows or feature.parameters or feature.foreign):
            found.append(f"{name}: nothing shows it")
    return found


@pytest.mark.slow
def test_the_surface_is_the_gateways(served: set[str], rows: dict[tuple[str, str], str]) -> None:
    assert contradictions(surface(), served, rows) == []


def test_every_relayed_path_is_in_the_surface() -> None:
    told = {path for feature in surface().values() for path in feature.paths}
    assert set(ENDPOINTS) - BESIDE <= told


@pytest.mark.parametrize(
    ("name", "planted"),
    [
        ("assistants", {"support": "yes"}),
        ("chat", {"support": "no"}),
        ("functions", {"support": "ignored"}),
        ("prompt_caching", {"support": "no"}),
        ("stored_responses", {"support": "yes"}),
        ("chat", {"rows": [["/v1/chat/completions", "telepathy"]]}),
        ("chat", {"paths": [], "rows": []}),
    ],
)
def test_a_wrong_claim_is_found(
    name: str, planted: dict[str, object], served: set[str], rows: dict[tuple[str, str], str]
) -> None:
    wrong = Feature.model_validate(surface()[name].model_dump(mode="json") | planted)
    assert contradictions({name: wrong}, served, rows)
