"""The console in a real Chromium: with data, empty, and with an engine that failed; by keyboard; light and dark."""

from collections.abc import Iterator

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


def test_overview(visitor: Visit) -> None:
    visitor.open("sign-in")
    visitor.check("sign-in")
    visitor.sign_in()
    visitor.check("overview")
