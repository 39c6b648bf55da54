"""Whatever block of values is left out or emptied, what is rendered is still YAML that an API server reads."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.chart.rendering import CHART, Object, Packaged, scenario
from fixtures.chart.schemas import NEWEST, core_problems, is_custom

VALUES: Object = yaml.safe_load((CHART / "values.yaml").read_text())


def _blocks(values: Object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in values.items():
        if isinstance(value, dict | list) and value:
            yield (*path, key)
        if isinstance(value, dict):
            yield from _blocks(value, (*path, key))


def _emptied(values: Object, path: tuple[str, ...]) -> Any:
    """The values with nothing in one map or list of theirs."""
    key, *rest = path
    inside = _emptied(values[key], tuple(rest)) if rest else type(values[key])()
    return {**values, key: inside}


BLOCKS = sorted(_blocks(VALUES))


def test_blocks_are_found() -> None:
    assert ("engineDefaults", "resources", "requests") in BLOCKS
    assert len(BLOCKS) > 60


OWN = ("adapters", "keda", "lws", "postgresql")


@pytest.mark.parametrize("name", OWN)
@pytest.mark.slow
def test_each_block_of_a_scenario_may_be_missing(chart: Packaged, tmp_path: Path, name: str) -> None:
    values = yaml.safe_load(scenario(name).read_text())
    outcomes = set()
    for path in sorted(_blocks(values)):
        file = tmp_path / f"{'.'.join(path).replace('/', '_')}.yaml"
        file.write_text(yaml.safe_dump(_emptied(values, path)))
        render = chart.render(file)  # yaml.YAMLError where it is no YAML
        outcomes.add(render.status)
        if render.status:
            assert "\n\n" in render.error or "schema" in render.error, f"{path}: {render.error}"
            assert "nil pointer" not in render.error and "wrong type" not in render.error, f"{path}: {render.error}"
        core = [each for each in render.objects if not is_custom(each)]
        assert [problem for each in core for problem in core_problems(each, NEWEST)] == [], path
    assert 0 in outcomes


@pytest.mark.parametrize("path", BLOCKS, ids=".".join)
def test_each_block_of_the_defaults_may_be_nothing(chart: Packaged, tmp_path: Path, path: tuple[str, ...]) -> None:
    # Helm lays maps over each other, so a map is removed by null, and a list by an empty one.
    value: Any = VALUES
    for key in path:
        value = value[key]
    over: Any = None if isinstance(value, dict) else []
    for key in reversed(path):
        over = {key: over}
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(over))
    render = chart.render(file)
    if render.status:
        said = ("Leave it out to keep its defaults", "there is no profile", "minItems: got 0")
        assert any(each in render.error for each in said), render.error
    assert [problem for each in render.objects if not is_custom(each) for problem in core_problems(each, NEWEST)] == []
