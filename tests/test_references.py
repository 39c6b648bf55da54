"""Generated pages say what the code says; `make docs` writes them anew."""

import re
from pathlib import Path

from freehold.core.cli.reference import command_reference
from freehold.serve.config import ProcessEngine
from freehold.serve.config_reference import config_reference
from freehold.serve.openapi_reference import openapi_reference

DOCS = Path(__file__).parents[1] / "docs"


def test_the_command_reference_is_fresh() -> None:
    assert (DOCS / "reference" / "commands.md").read_text() == command_reference(), "run `make docs`"


def test_the_configuration_reference_is_fresh() -> None:
    assert (DOCS / "configuration.md").read_text() == config_reference(), "run `make docs`"


def test_the_reference_of_the_api_is_fresh() -> None:
    assert (DOCS / "reference" / "openapi.json").read_text() == openapi_reference(), "run `make docs`"


def test_every_help_ends_with_an_example() -> None:
    for section in command_reference().split("\n## ")[1:]:
        name = section.split("`")[1]
        last = section.rstrip().removesuffix("```").rstrip().splitlines()[-1].strip()
        assert re.match(r"([A-Z_]+=\S+ )?(freehold|hf) ", last), f"{name} ends with {last!r}"


def test_every_option_is_in_the_page_and_explained() -> None:
    page = config_reference()
    assert all(f"`{field.alias}`" in page for field in ProcessEngine.model_fields.values())
    assert [line for line in page.splitlines() if line.endswith("|  |")] == []
