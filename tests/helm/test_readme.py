"""Every key of the chart is explained, in values.yaml, the schema and the README alike."""

import json
import os
import re
from typing import Any

import pytest
import yaml
from fixtures.chart.reference import documented, readme, undocumented
from fixtures.chart.rendering import CHART, Object

VALUES = (CHART / "values.yaml").read_text()


def test_the_readme_is_fresh() -> None:
    if os.environ.get("WRITE_PAGE"):
        (CHART / "README.md").write_text(readme())
    assert (CHART / "README.md").read_text() == readme(), "run `make chart`"


def test_every_key_is_explained() -> None:
    assert undocumented(VALUES) == []


def test_a_key_without_a_word_is_caught() -> None:
    assert undocumented("a:\n  # -- Told.\n  b: 1\n  c: 2\n") == ["a.c"]
    assert [each.text for each in documented("# -- One\n# line.\na: 1\n")] == ["One line."]


def test_every_text_is_a_sentence() -> None:
    assert [each.path for each in documented(VALUES) if not re.search(r"[.`]$", each.text)] == []


@pytest.fixture(scope="module")
def schema() -> Object:
    found: Object = json.loads((CHART / "values.schema.json").read_text())
    return found


def test_the_schema_has_every_key_and_no_other(schema: Object) -> None:
    missing: list[str] = []
    _compare(yaml.safe_load(VALUES), schema, schema, "", missing)
    assert missing == []
    assert set(schema["properties"]) - set(yaml.safe_load(VALUES)) == {"deployment"}


def test_a_key_that_the_schema_lacks_is_caught(schema: Object) -> None:
    missing: list[str] = []
    _compare({"gateway": {"service": {"colour": "red"}}}, schema, schema, "", missing)
    assert missing == [".gateway.service.colour"]


def _compare(values: Object, node: Object, root: Object, path: str, missing: list[str]) -> None:
    node = _resolved(node, root)
    for key, value in values.items():
        known = node.get("properties", {}).get(key, node.get("additionalProperties"))
        if known is None and path == ".global":
            continue
        if not known:
            missing.append(f"{path}.{key}")
        elif isinstance(value, dict) and isinstance(known, dict):
            _compare(value, known, root, f"{path}.{key}", missing)


def _resolved(node: Any, root: Object) -> Any:
    while "$ref" in node:
        node = root["$defs"][node["$ref"].removeprefix("#/$defs/")]
    return node


def test_objects_of_the_chart_refuse_what_they_do_not_know() -> None:
    chart = json.loads((CHART / "schema" / "chart.schema.json").read_text())
    opened = [
        path
        for path, node in _objects(chart, "")
        if "properties" in node and node.get("additionalProperties") is not False
    ]
    assert opened == [".properties.global"]  # Helm lets parent charts put keys there


def _objects(node: Any, path: str) -> list[tuple[str, Object]]:
    if isinstance(node, list):
        return [each for index, item in enumerate(node) for each in _objects(item, f"{path}[{index}]")]
    if not isinstance(node, dict):
        return []
    own = [(path, node)] if node.get("type") == "object" else []
    return own + [each for key, value in node.items() for each in _objects(value, f"{path}.{key}")]


def test_the_packaged_schema_needs_no_network(schema: Object) -> None:
    assert not re.search(r'"\$ref": "(?!#)', json.dumps(schema))
