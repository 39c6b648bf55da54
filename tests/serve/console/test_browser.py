"""The console in a real Chromium: with data, empty, and with an engine that failed; by keyboard; light and dark."""

from collections.abc import Iterator

import httpx
import pytest
from fixtures.console import House, house_in_thread
from fixtures.console_browser import Visit, browser, visit
from fixtures.console_data import use_for_a_month, watch_for_a_while
from playwright.sync_api import Browser

__all__ = ["browser"]
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A gateway that has been in use for a month."""
    with house_in_thread(tmp_path_factory.mktemp("used")) as made:
        use_for_a_month(made)
        watch_for_a_while(made)
        yield made


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A gateway that nobody has used."""
    with house_in_thread(tmp_path_factory.mktemp("new")) as made:
        yield made


@pytest.fixture
def visitor(browser: Browser, used: House) -> Iterator[Visit]:
    with visit(browser, used) as opened:
        yield opened


@pytest.fixture
def newcomer(browser: Browser, new: House) -> Iterator[Visit]:
    with visit(browser, new) as opened:
        yield opened


def chat(made: House, count: int = 20) -> None:
    """Requests of an application."""
    headers = {"authorization": f"Bearer {made.key(team='support')}"}
    body = {"model": "tiny", "stream": True, "max_tokens": 8, "messages": [{"role": "user", "content": "Hello"}]}
    with httpx.Client(base_url=made.url, headers=headers) as client:
        for _ in range(count):
            assert client.post("/v1/chat/completions", json=body).status_code == 200


def test_sign_in_and_out_by_keyboard(visitor: Visit) -> None:
    page = visitor.open("sign-in")
    visitor.check("sign-in")
    page.get_by_label("Key of an administrator").press_sequentially("not-the-key")
    page.keyboard.press("Enter")
    page.get_by_role("alert").filter(has_text="no API key of this gateway").wait_for()
    visitor.faults.clear()  # the browser's own word for the 401
    visitor.sign_in()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText") == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.reload()
    visitor.tab_to("Usage")
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/usage")
    visitor.tab_to("Sign out")
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/sign-in")
    visitor.open("overview")
    page.wait_for_url("**/console/sign-in?to=/console/overview")


def test_the_overview_with_data(visitor: Visit) -> None:
    page = visitor.sign_in()
    page.wait_for_selector("[data-charts][data-state=drawn]")
    assert page.locator("figure canvas").count() == 8
    assert "tiny" in page.locator("figure[data-chart=ttft] .latest").inner_text()
    visitor.check("overview")


def test_charts_begin_at_zero_and_show_gaps(visitor: Visit) -> None:
    page = visitor.sign_in()
    page.wait_for_selector("[data-charts][data-state=drawn]")
    columns = page.evaluate("async () => (await (await freehold.ask('/console/overview/charts.json')).json()).tokens")
    holes = [index for index, value in enumerate(columns["series"][0]["values"]) if value is None]
    assert len(holes) >= 2, "the first point of all, and the pause in the middle"
    assert min(page.evaluate("freeholdCharts.range('tokens')")) == 0


def test_the_overview_lives_without_reloading(newcomer: Visit) -> None:
    page = newcomer.sign_in()
    assert page.get_by_text("2 of 2").is_visible()
    page.evaluate("window.was = 'never reloaded'")
    chat(newcomer.house)
    page.wait_for_function(
        "() => [...document.querySelectorAll('td.n')].some((td) => /^[0-9]+ ms/.test(td.innerText))", timeout=30_000
    )
    newcomer.house.run(lambda: newcomer.house.fail("tiny"))
    page.get_by_text("tiny has failed.").wait_for(timeout=30_000)
    assert page.get_by_text("1 of 2").is_visible()
    assert page.evaluate("window.was") == "never reloaded"
    newcomer.check("overview-failed")
    newcomer.house.run(lambda: newcomer.house.mend("tiny"))


def test_a_pause_stops_the_moving(newcomer: Visit) -> None:
    page = newcomer.sign_in()
    newcomer.tab_to("Pause")
    page.keyboard.press("Enter")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(5_500)
    assert asked == []


@pytest.mark.parametrize("name", ["usage", "keys", "audit"])
def test_a_page_with_data(visitor: Visit, name: str) -> None:
    visitor.sign_in()
    page = visitor.open(name)
    assert page.locator("tbody tr").count() > 0
    if name == "usage":
        page.wait_for_selector("[data-charts][data-state=drawn]")
    visitor.check(name)


@pytest.mark.parametrize("name", ["usage", "keys"])
def test_a_page_that_is_empty(newcomer: Visit, name: str) -> None:
    newcomer.sign_in()
    page = newcomer.open(f"{name}?team=nobody")
    assert page.locator(".empty").is_visible()
    newcomer.check()


@pytest.mark.parametrize("name", ["usage", "keys", "audit"])
def test_a_page_with_a_failing_engine(newcomer: Visit, name: str) -> None:
    newcomer.house.run(lambda: newcomer.house.fail("tiny"))
    newcomer.sign_in()
    page = newcomer.open(name)
    assert page.locator("h1").is_visible()
    newcomer.check()
    newcomer.house.run(lambda: newcomer.house.mend("tiny"))


def test_a_key_is_made_changed_and_revoked_by_keyboard(newcomer: Visit) -> None:
    newcomer.sign_in()
    page = newcomer.open("keys")
    newcomer.tab_to("Create a key")
    page.keyboard.press("Enter")
    newcomer.tab_to("Name")
    page.keyboard.type("chat")
    newcomer.tab_to("Cost per month")
    page.keyboard.type("12.50")
    page.keyboard.press("Enter")
    secret = page.locator("#secret").inner_text()
    assert secret.startswith("fh-")
    assert secret in page.evaluate("document.activeElement.innerText"), "whoever cannot see is led to it"
    newcomer.check("key-created")
    page.reload()
    assert secret not in page.content()
    assert page.get_by_text("0.00 of 12.50").is_visible()
    page.on("dialog", lambda dialog: dialog.accept())
    newcomer.tab_to("Revoke chat")
    page.keyboard.press("Enter")
    page.get_by_text("The key is revoked").wait_for()


def test_the_theme_is_chosen_and_kept(visitor: Visit) -> None:
    page = visitor.sign_in()
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    visitor.tab_to("Dark")
    page.keyboard.press("Enter")
    visitor.open("usage")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_what_a_script_in_a_name_would_do(newcomer: Visit) -> None:
    """The planted fault: markup in a name, and a script that asks to be run."""
    newcomer.house.key(team="<img src=x onerror=window.hacked=1>")
    newcomer.sign_in()
    page = newcomer.open("keys")
    assert page.get_by_text("<img src=x onerror=window.hacked=1>").is_visible()
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=window.hacked=2>')")
    page.wait_for_timeout(200)
    assert page.evaluate("window.hacked") is None
    assert any("Content Security Policy" in fault for fault in newcomer.faults)


def test_axe_would_find_a_fault(visitor: Visit) -> None:
    """The planted fault of `Visit.check`: a picture without a text."""
    page = visitor.sign_in()
    page.evaluate("document.querySelector('main').append(document.createElement('img'))")
    with pytest.raises(AssertionError, match="image-alt"):
        visitor.check()
