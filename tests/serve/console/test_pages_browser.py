"""Models, playground, jobs and evaluations in a real Chromium: with data and empty, by keyboard, light and dark."""

from collections.abc import Iterator

import pytest
from fixtures.console import House, house_in_thread
from fixtures.console_browser import Visit, browser, visit
from fixtures.library import furnish
from playwright.sync_api import Browser

__all__ = ["browser"]
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house that has been lived in, one of whose engines failed."""
    home = tmp_path_factory.mktemp("console")
    lived = furnish(home)
    with house_in_thread(home) as made:
        made.engines["tiny"].artifact_id = lived.base.id
        made.engines["renamed"].artifact_id = lived.adapter.id
        yield made


@pytest.fixture
def visitor(browser: Browser, served: House) -> Iterator[Visit]:
    with visit(browser, served) as opened:
        opened.sign_in()
        yield opened


def test_the_graph_leads_to_its_evidence_by_keyboard(visitor: Visit) -> None:
    page = visitor.open("models")
    visitor.check("models")
    page.get_by_role("link", name="support-tuned").first.click()
    visitor.tab_to("gate: parity gate, passed")
    page.keyboard.press("Enter")
    page.wait_for_url("**#evidence-*")
    assert "mean_difference_nats" in page.locator(".evidence:target").inner_text()
    visitor.check("lineage")


def test_the_catalogue_by_keyboard(visitor: Visit) -> None:
    page = visitor.open("models/catalogue")
    visitor.tab_to("Family")
    page.keyboard.type("qwen")
    visitor.tab_to("Fits")
    page.keyboard.type("the GPUs")
    visitor.tab_to("GPUs")
    page.keyboard.type("1xL4")
    page.keyboard.press("Enter")
    page.wait_for_url("**family=qwen**")
    assert page.get_by_role("link", name="qwen3-0.6b").is_visible()
    assert page.get_by_role("link", name="llama-3.1-8b-instruct").count() == 0
    visitor.check("catalogue")


def test_two_models_side_by_side_blind_with_a_vote(visitor: Visit) -> None:
    page = visitor.open("playground")
    page.get_by_label("Model 2").select_option("renamed")
    page.get_by_label("Blind").check()
    visitor.tab_to("Prompt")
    page.keyboard.type("Capital of France?")
    page.keyboard.press("Control+Enter")
    page.get_by_role("button", name="Answer B").wait_for()
    assert page.get_by_text("Paris", exact=True).count() == 2
    sides = page.locator("#sides").inner_text()
    assert "tiny" not in sides and "renamed" not in sides
    assert not page.locator("#code").is_visible()
    page.get_by_role("button", name="Answer B").click()
    page.get_by_text("Kept. The conversation goes on").wait_for()
    assert "tiny" in page.locator("#sides").inner_text()
    curl, python = page.locator("#curl").inner_text(), page.locator("#python").inner_text()
    token = page.evaluate("window.freehold.token()")
    assert "$FREEHOLD_API_KEY" in curl and "Capital of France?" in curl and token not in curl + python
    compile(python, "python", "exec")
    visitor.check("playground")
    page.reload()
    assert page.get_by_text("1 votes").is_visible()


def test_a_prompt_that_cannot_be_sent_says_why(visitor: Visit) -> None:
    page = visitor.open("playground")
    page.get_by_text("Files, tools, JSON schema, sampling").click()
    page.get_by_label("Tools: a JSON list").fill("[{")
    page.get_by_label("Prompt", exact=True).fill("Hello")
    page.get_by_role("button", name="Send").click()
    assert "Tools is no JSON" in page.locator("#notices").inner_text()
    assert visitor.house.engines["tiny"].calls == [] or page.locator(".turn").count() == 0


def test_an_engine_that_failed_says_so_in_its_column(visitor: Visit) -> None:
    visitor.house.run(lambda: visitor.house.fail("renamed"))
    page = visitor.open("playground")
    page.get_by_label("Model 1").select_option("renamed")
    page.get_by_label("Prompt", exact=True).fill("Hello")
    page.get_by_role("button", name="Send").click()
    page.locator(".side .notice").wait_for()
    assert "CUDA out of memory" in page.locator(".side .notice").inner_text()
    visitor.faults[:] = [fault for fault in visitor.faults if "503" not in fault]  # the refusal that was asked for
    visitor.check()
    visitor.open("models")
    assert page.get_by_text("CUDA out of memory").first.is_visible()
    visitor.check()
