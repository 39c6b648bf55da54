"""The console's pages as their own browser gets them: forms, fragments, charts, files."""

import csv
import io
import re

import httpx
import pytest
from fixtures.console import House, signed_in
from fixtures.console_data import use_for_a_month

from freehold.serve.console.pages.overview import charts_of

pytestmark = pytest.mark.slow

FORM = {"name": "chat", "team": "support", "role": "app", "label": "must-stay"}


async def test_the_root_leads_to_the_overview(admin: httpx.AsyncClient) -> None:
    for path in ("/console", "/console/"):
        answer = await admin.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/overview")
    lost = await admin.get("/console/nothing")
    assert lost.status_code == 404
    assert "The console has no page /console/nothing" in lost.text


async def test_a_key_is_made_with_its_limits_and_shown_once(admin: httpx.AsyncClient) -> None:
    limits = {"models": "tiny, renamed", "tokens_per_minute": "1,000", "monthly_money": "12.50", "may_tune": "1"}
    answer = await admin.post("/console/keys", data={**FORM, **limits})
    secret = re.search(r'id="secret">(fh-[\w-]{43})<', answer.text)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert secret is not None
    assert secret[1] not in (await admin.get("/console/keys")).text
    (key,) = (await admin.get("/admin/v1/keys")).json()["data"]
    assert (key["models"], key["tokens_per_minute"], key["may_tune"]) == (["tiny", "renamed"], 1000, True)
    assert (key["monthly_money"], key["requests_per_minute"], key["routes"]) == (12.5, None, None)


async def test_wrong_fields_are_named_and_nothing_typed_is_lost(admin: httpx.AsyncClient) -> None:
    typed = {**FORM, "owner": "ada@example.com", "monthly_tokens": "many", "expires": "yesterday"}
    answer = await admin.post("/console/keys", data=typed)
    assert answer.status_code == 400
    assert "monthly_tokens" in answer.text and "expires" in answer.text
    for value in ("ada@example.com", "many", "yesterday"):
        assert f'value="{value}"' in answer.text
    assert (await admin.get("/admin/v1/keys")).json()["data"] == []


async def test_a_key_is_changed_rotated_and_revoked(running: House, admin: httpx.AsyncClient) -> None:
    made = (await admin.post("/admin/v1/keys", json={"name": "chat", "monthly_money": 5, "expires": "90d"})).json()
    path = f"/console/keys/{made['id']}"
    assert 'value="5.0"' in (await admin.get(path)).text
    changed = await admin.post(path, data={"label": "may-leave", "owner": "ada", "concurrent_requests": "3"})
    assert changed.headers["location"] == f"{path}?said=saved"
    now = (await admin.get(f"/admin/v1/keys/{made['id']}")).json()
    assert (now["label"], now["owner"], now["concurrent_requests"], now["monthly_money"]) == (
        "may-leave",
        "ada",
        3,
        None,
    )
    assert now["expires_at"] == made["expires_at"], "an expiry that is not given stays"
    rotated = await admin.post(f"{path}/rotate", data={"grace_hours": "24"})
    assert 'id="secret">fh-' in rotated.text
    assert (await admin.get(f"/admin/v1/keys/{made['id']}")).json()["previous_until"] is not None
    assert (await admin.post(f"{path}/rotate", data={"grace_hours": "soon"})).status_code == 400
    assert (await admin.post(f"{path}/revoke")).headers["location"] == f"{path}?said=revoked"
    assert "stays in the books" in (await admin.get(f"{path}?said=revoked")).text


async def test_a_viewer_changes_nothing_by_a_form(running: House) -> None:
    async with signed_in(running, running.key("viewer")) as viewer:
        answer = await viewer.post("/console/keys", data=FORM)
        assert answer.status_code == 403
        assert "it takes the role admin" in answer.text


async def test_usage_is_shown_in_parts_and_downloaded_whole(running: House, admin: httpx.AsyncClient) -> None:
    use_for_a_month(running)
    page = (await admin.get("/console/usage?by=key&by=day")).text
    assert "Page 1 of 5" in page
    assert len(re.findall(r"<tr>", page)) == 51
    after = (await admin.get("/console/usage?by=key&by=day&page=5")).text
    assert "Next page" not in after
    table = (await admin.get("/console/usage/usage.csv?by=key&by=day")).text
    assert len([*csv.reader(io.StringIO(table))]) > 200
    charts = (await admin.get("/console/usage/charts.json?by=key")).json()
    assert len(charts["money"]["x"]) == len(charts["money"]["series"][0]["values"]) in (31, 32)
    assert sum(charts["tokens"]["series"][1]["values"]) > 0


async def test_what_the_report_refuses_is_said_on_the_page(admin: httpx.AsyncClient) -> None:
    answer = await admin.get("/console/usage?since=soon")
    assert answer.status_code == 400
    assert "since: &#39;soon&#39; is no time" in answer.text
    fragment = await admin.get("/console/usage?by=colour", headers={"hx-request": "true"})
    assert (fragment.status_code, fragment.headers["hx-retarget"]) == (400, "#notices")
    assert "<html" not in fragment.text


async def test_the_live_part_is_a_part(running: House, admin: httpx.AsyncClient) -> None:
    running.fail("tiny")
    part = await admin.get("/console/overview/live", headers={"hx-request": "true"})
    assert "<html" not in part.text
    assert "tiny has failed." in part.text


@pytest.mark.parametrize("count", [0, 3, 40])
def test_a_chart_has_no_more_lines_than_can_be_told_apart(count: int) -> None:
    figures = ("completion_tokens_per_s", "in_flight", "waiting", "ttft_p95_s", "inter_token_p95_s", "kv_usage")
    figures += ("errors_per_s", "requests_per_s")
    models = {f"model-{number:02}": {name: [None, float(number)] for name in figures} for number in range(count)}
    charts = charts_of({"series": {"at": [1.0, 2.0], "models": models, "gpus": {}}, "gpus": []})
    lines = charts["ttft"]["series"]
    assert [line["label"] for line in lines] == sorted(models)[-6:]
    assert all(line["values"][0] is None for line in lines), "a gap stays a gap"
    assert charts["gpus"]["series"] == []
