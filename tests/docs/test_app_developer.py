"""The application developer's first hour, as its page has it."""

from pathlib import Path

import pytest
from fixtures.journeys import link_model
from fixtures.pages import follow
from fixtures.ports import free_port

PAGE = Path(__file__).parents[2] / "docs" / "getting-started" / "app-developer.md"

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(1800)]


def test_the_page_does_what_it_says(pulled_home: Path, tmp_path: Path) -> None:
    folder, home = tmp_path / "desk", tmp_path / "home"
    folder.mkdir()
    link_model(pulled_home, home)
    port = str(free_port())
    instead = {"8000": port, "freehold serve smollm2": f"freehold serve --port {port} smollm2"}
    follow(PAGE, folder, {"FREEHOLD_HOME": str(home)}, instead=instead)
