"""The pages of evaluations."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fixtures.console import House, house, signed_in
from fixtures.evaluated import evaluate
from fixtures.models import add_artifact

from freehold.core.store import Store

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("evaluated")
    evaluate(made, "good", add_artifact(Store(made / "store"), "bot", {"config.json": b"{}"}).id)
    return made


@pytest.fixture
async def evaluated(home: Path) -> AsyncIterator[House]:
    async with house(home) as made:
        yield made


async def test_without_a_run_it_says_where_they_come_from(admin: httpx.AsyncClient) -> None:
    assert "No run of freehold evaluate" in (await admin.get("/console/evaluations")).text
    assert (await admin.get("/console/evaluations/none")).status_code == 404


async def test_a_run_its_answers_its_report_and_its_promotion(evaluated: House) -> None:
    async with signed_in(evaluated) as admin:
        assert "good" in (await admin.get("/console/evaluations")).text
        page = await admin.get("/console/evaluations/good")
        assert "frame-src 'self'" in page.headers["content-security-policy"]
        assert 'sandbox="allow-scripts"' in page.text and "Promote bot-" in page.text
        assert "right" in (await admin.get("/console/evaluations/good/answers?slice=kind%3Dchat")).text
        report = await admin.get("/console/evaluations/good/report")
        assert report.headers["content-security-policy"].startswith("sandbox allow-scripts")
        assert report.headers["x-frame-options"] == "SAMEORIGIN"
        artifact = Store(evaluated.home / "store").get("bot").id
        done = await admin.post("/console/evaluations/good/promote", data={"artifact": artifact})
        assert done.status_code == 200 and "has these verdicts in its lineage now" in done.text


async def test_a_viewer_sees_numbers_alone(evaluated: House) -> None:
    async with signed_in(evaluated, evaluated.key("viewer")) as viewer:
        page = (await viewer.get("/console/evaluations/good")).text
        assert "Interval" in page and "<iframe" not in page and "Promote bot-" not in page
        assert (await viewer.get("/console/evaluations/good/answers")).status_code == 403
