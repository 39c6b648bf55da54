"""Models, playground, jobs and evaluations in a real Chromium: with data and empty, by keyboard, light and dark."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fixtures.console import ADMIN_KEY, CONFIG, House, house_in_thread
from fixtures.console_browser import Visit, browser, visit
from fixtures.console_jobs import WITH_ARTIFACT, start_job, train, upload
from fixtures.evaluated import evaluate
from fixtures.library import furnish
from fixtures.media import data_url, encoded, image, sound
from fixtures.models import add_artifact, read_files
from fixtures.tuning_house import GOOD
from playwright.sync_api import Browser

__all__ = ["browser"]
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[House]:
    """A house that has been lived in: artifacts, an evaluation, a job that learns."""
    home = tmp_path_factory.mktemp("console")
    lived = furnish(home)
    add_artifact(lived.store, "tiny", read_files(tiny_model))
    evaluate(home, "support-20261122", lived.adapter.id)
    with house_in_thread(home, WITH_ARTIFACT) as made:
        with httpx.Client(base_url=made.url, headers={"authorization": f"Bearer {ADMIN_KEY}"}, timeout=120) as client:
            train(made, start_job(client, upload(client)["id"])["id"])
        made.engines["tiny"].artifact_id = lived.base.id
        made.engines["renamed"].artifact_id = lived.adapter.id
        yield made


@pytest.fixture
def visitor(served: House, browser: Browser) -> Iterator[Visit]:
    """The house first: the browser has an event loop of its own from then on."""
    with visit(browser, served) as opened:
        opened.sign_in()
        yield opened


def test_the_graph_leads_to_its_evidence_by_keyboard(visitor: Visit) -> None:
    page = visitor.open("models")
    visitor.check("models")
    page.get_by_role("link", name="support-tuned").first.click()
    visitor.check("lineage")
    visitor.tab_to("gate: parity gate, passed")
    page.keyboard.press("Enter")
    page.wait_for_url("**#evidence-*")
    assert "mean_difference_nats" in page.locator(".evidence:target").inner_text()
    visitor.check()


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
    assert not page.locator("#vote").is_visible()
    curl, python = page.locator("#curl").inner_text(), page.locator("#python").inner_text()
    token = page.evaluate("window.freehold.token()")
    assert "$FREEHOLD_API_KEY" in curl and "Capital of France?" in curl and token not in curl + python
    compile(python, "python", "exec")
    visitor.check("playground")
    page.reload()
    assert page.get_by_text("1 vote.").is_visible()


def test_images_and_sounds_go_along_with_a_prompt(visitor: Visit, tmp_path: Path) -> None:
    picture, noise = image(96, 64), sound(1)
    (tmp_path / "a.png").write_bytes(picture)
    (tmp_path / "a.wav").write_bytes(noise)
    page = visitor.open("playground")
    page.get_by_text("Files, tools, JSON schema, sampling").click()
    assert page.get_by_label("Images and sounds").is_disabled(), "the catalogue says that tiny takes text alone"
    page.get_by_label("Model 1").select_option("chat")
    page.get_by_label("Images and sounds").set_input_files([tmp_path / "a.png", tmp_path / "a.wav"])
    page.get_by_label("Prompt", exact=True).fill("What is it?")
    page.get_by_role("button", name="Send").click()
    page.get_by_text("Paris", exact=True).wait_for()
    asked = [call for call in visitor.house.engines["tiny"].calls if call.method == "POST"]
    sent = asked[-1].json["messages"][-1]["content"]
    assert sent[0] == {"type": "text", "text": "What is it?"}
    assert sent[1] == {"type": "image_url", "image_url": {"url": data_url(picture)}}
    assert sent[2] == {"type": "input_audio", "input_audio": {"data": encoded(noise), "format": "wav"}}
    assert encoded(noise) not in page.locator("#curl").inner_text(), "a screenful is for what one can read"
    visitor.check()


def test_a_prompt_that_cannot_be_sent_says_why(visitor: Visit) -> None:
    page = visitor.open("playground")
    page.get_by_text("Files, tools, JSON schema, sampling").click()
    page.get_by_label("Tools: a JSON list").fill("[{")
    page.get_by_label("Prompt", exact=True).fill("Hello")
    page.get_by_role("button", name="Send").click()
    assert "Tools is no JSON" in page.locator("#notices").inner_text()
    assert visitor.house.engines["tiny"].calls == [] or page.locator(".turn").count() == 0


def test_a_job_draws_its_losses(visitor: Visit) -> None:
    page = visitor.open("jobs")
    visitor.check("jobs")
    page.get_by_role("link", name="ftjob-").first.click()
    page.wait_for_selector("figure[data-chart=loss] canvas")
    assert "validation: 0.5" in page.locator("figure[data-chart=loss] .plot").get_attribute("aria-label")
    assert page.get_by_text("Step 6/6").is_visible()
    visitor.check("job")


def test_a_data_set_is_uploaded_and_its_mask_shown(visitor: Visit, tmp_path: Path) -> None:
    page = visitor.open("jobs/new")
    visitor.check()
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text('{"messages": "none"}\n')
    page.get_by_label("JSON lines").set_input_files(wrong)
    page.get_by_role("button", name="Upload and check").click()
    page.locator("#notices .notice").wait_for()
    assert "Line 1" in page.locator("#notices").inner_text()
    visitor.faults[:] = [fault for fault in visitor.faults if "400" not in fault]  # the refusal that was asked for
    right = tmp_path / "tickets.jsonl"
    right.write_bytes(GOOD)
    page.get_by_label("JSON lines").set_input_files(right)
    page.get_by_role("button", name="Upload and check").click()
    page.wait_for_url("**/jobs/files/*")
    page.get_by_role("button", name="Check").click()
    page.locator("mark.learnt").first.wait_for(timeout=300_000)
    assert "It is 0." in "".join(page.locator(".mask").first.locator("mark").all_inner_texts())
    visitor.check("mask")


def test_an_evaluation_from_its_numbers_to_its_answers(visitor: Visit) -> None:
    page = visitor.open("evaluations")
    visitor.check("evaluations")
    visitor.tab_to("support-20261122")
    page.keyboard.press("Enter")
    page.wait_for_url("**/evaluations/support-20261122")
    page.wait_for_selector("figure[data-chart=quality] canvas")
    label = page.locator("figure[data-chart=quality] .plot").get_attribute("aria-label")
    assert "closed: 95.8 points · bot: 95.8 points" in str(label)
    report = page.frame_locator("iframe.report")
    report.get_by_role("heading").first.wait_for()
    assert page.evaluate("document.querySelector('iframe').contentDocument") is None  # it has another origin: none
    visitor.check("evaluation")
    page.get_by_role("link", name="Answers of kind=chat").click()
    page.get_by_text("Expected: right").first.wait_for()
    visitor.check("answers")


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


def test_empty_pages(browser: Browser, tmp_path: Path) -> None:
    bare = {name: section for name, section in CONFIG.items() if name not in ("tuning", "batches")}
    with house_in_thread(tmp_path, bare) as made, visit(browser, made) as opened:
        opened.sign_in()
        for name, says in (
            ("models", "The store is empty"),
            ("jobs", "no `tuning`"),
            ("evaluations", "No run of freehold evaluate"),
            ("playground", "Nobody has voted yet"),
        ):
            page = opened.open(name)
            assert page.get_by_text(says).first.is_visible(), name
            opened.check()
