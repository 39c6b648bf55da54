"""What needs no engine of docs/compatibility.md; the rest is compared by tests/e2e/compatibility."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fixtures.compatibility import COMMAND, Api, render_page, render_parameters, rows

PAGE = Path(__file__).parents[1] / "docs" / "compatibility.md"
API = Api("/v1/things", "openai")


@API.works("thing")
@API.refused("other", "it is odd")
def proof() -> None:
    """Stands for a test of two rows."""


def _item(name: str) -> Any:
    return SimpleNamespace(nodeid=name, function=proof)


def test_the_chapter_on_parameters_is_fresh() -> None:
    assert render_parameters() in PAGE.read_text(), f"run `{COMMAND}`"


def test_a_row_is_what_its_tests_proved() -> None:
    proven = rows([_item("a"), _item("b")], {"a", "b"})
    assert [(row.name, row.result) for row in proven] == [("thing", "yes"), ("other", "refused: it is odd")]
    assert "| thing | openai | yes |" in render_page(proven, {"vLLM": "1"})


def test_one_failure_of_several_tests_is_on_the_page() -> None:
    for passed in ({"a"}, {"b"}, set()):
        page = render_page(rows([_item("a"), _item("b")], passed), {"vLLM": "1"})
        assert "| thing | openai | no: its test fails |" in page and "| thing | openai | yes |" not in page
