"""Sign-in by OpenID Connect in a real Chromium: redirects, cookies and the page's policy as a browser takes them."""

from pathlib import Path

import pytest
from fixtures.console import house_in_thread
from fixtures.console_browser import browser
from fixtures.console_identity import PROVIDERS_WARNINGS, SECRET, console, issuer
from fixtures.ports import free_port
from playwright.sync_api import Browser

__all__ = ["browser", "issuer"]
pytestmark = [pytest.mark.browser, PROVIDERS_WARNINGS]


def test_a_browser_goes_to_the_provider_and_comes_back(browser: Browser, issuer: str, tmp_path: Path) -> None:
    port = free_port()
    data = console(issuer, f"http://127.0.0.1:{port}")
    data["gateway"]["port"] = port
    with house_in_thread(tmp_path, data, environ=SECRET) as made:
        context = browser.new_context()
        page = context.new_page()
        page.set_default_timeout(15_000)
        context.route("**/*", lambda route: route.abort() if "cdn." in route.request.url else route.continue_())
        page.goto(f"{made.url}/console/usage")
        page.get_by_role("link", name="Sign in with single sign-on").click()
        page.get_by_placeholder("sub").fill("ada")
        page.get_by_role("button", name="Authorize").click()
        page.wait_for_url(f"{made.url}/console/usage")
        assert page.locator(".who").inner_text().split() == ["Ada", "Lovelace", "operator"]
        cookies = {cookie["name"]: cookie for cookie in context.cookies()}
        session = cookies["__Host-freehold"]
        assert (session["httpOnly"], session["secure"], session["sameSite"]) == (True, True, "Lax")
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/console/sign-in")
        context.close()
