"""The operator's first hour, as its page has it."""

import os
from pathlib import Path

import pytest
from fixtures.chart.binaries import NEW, binary
from fixtures.journeys import link_model
from fixtures.pages import follow

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "getting-started" / "operator.md"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_the_page_does_what_it_says(pulled_home: Path, tmp_path: Path) -> None:
    clone, home = tmp_path / "clone", tmp_path / "home"
    clone.mkdir()
    for folder in ("helm", "docs"):
        (clone / folder).symlink_to(ROOT / folder)
    link_model(pulled_home, home)
    path = f"{binary(NEW).parent}{os.pathsep}{os.environ['PATH']}"
    follow(PAGE, clone, {"FREEHOLD_HOME": str(home), "PATH": path})
