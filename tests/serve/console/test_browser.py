"""The console in a real Chromium: with data, empty, and with an engine that failed; by keyboard; light and dark."""

from collections.abc import Iterator

import httpx
import pytest
from fixtures.console import House, house_in_thread
from fixtures.console_browser import Visit, browser, visit
from playwright.sync_api import Browser

__all__ = ["browser"]
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house_in_thread(tmp_path_factory.mktemp("console")) as made:
        yield made


@pytest.fixture
def visitor(browser: Browser, served: House) -> Iterator[Visit]:
    with visit(browser, served) as opened:
        yield opened


def chat(made: House, count: int = 20) -> None:
    """Requests of an application."""
    headers = {"authorization": f"Bearer {made.key(team='support')}"}
    body = {"model": "tiny", "stream": True, "max_tokens": 8, "messages": [{"role": "user", "content": "Hello"}]}
    with httpx.Client(base_url=made.url, headers=headers) as client:
        for _ in range(count):
            assert client.post("/v1/chat/completions", json=body).status_code == 200


def test_the_overview_lives_without_reloading(visitor: Visit) -> None:
    page = visitor.sign_in()
    assert page.get_by_text("2 of 2").is_visible()
    chat(visitor.house)
    page.wait_for_function(
        "() => [...document.querySelectorAll('td.n')].some((cell) => /^\\d+ ms/.test(cell.innerText))"
    )
    page.wait_for_selector("figure[data-chart=tokens] canvas")
    page.wait_for_selector("[data-charts][data-state=drawn]")
    visitor.check("overview")
