"""The pages of jobs: lists, losses, log, data with its mask; and what each role may do there."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fixtures.console import ADMIN_KEY, CONFIG, House, browser_of, house, signed_in
from fixtures.console_jobs import WITH_ARTIFACT, train
from fixtures.models import add_artifact, read_files
from fixtures.tuning_house import GOOD

from freehold.core.store import Store
from freehold.serve.batches.creating import create
from freehold.serve.batches.requests import NewBatchRequest
from freehold.serve.config import BatchesConfig
from freehold.serve.gateway.errors import NotAllowed
from freehold.serve.gateway.principal import Principal
from freehold.serve.state.files import StorageQuota
from freehold.serve.tuning.spaces import Space

pytestmark = pytest.mark.slow

TUNING = "/v1/fine_tuning/jobs"
LINE = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "tiny", "messages": []}}


@pytest.fixture
async def at_work(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path, WITH_ARTIFACT) as made:
        yield made


async def uploaded(client: httpx.AsyncClient, data: bytes = GOOD, purpose: str = "fine-tune") -> Any:
    answer = await client.post("/v1/files", data={"purpose": purpose}, files={"file": ("tickets.jsonl", data)})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def started(client: httpx.AsyncClient) -> Any:
    answer = await client.post(TUNING, json={"model": "tiny", "training_file": (await uploaded(client))["id"]})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_empty_lists_say_so(admin: httpx.AsyncClient) -> None:
    page = (await admin.get("/console/jobs")).text
    assert "No fine-tuning job yet." in page and "No batch yet." in page


async def test_a_deployment_without_jobs_says_what_is_missing(tmp_path: Path) -> None:
    bare = {name: section for name, section in CONFIG.items() if name not in ("tuning", "batches")}
    async with house(tmp_path, bare) as made, signed_in(made) as client:
        page = (await client.get("/console/jobs")).text
        assert "no `tuning`" in page and "no `batches`" in page
        assert "neither `tuning` nor `batches`" in (await client.get("/console/jobs/new")).text


async def test_a_job_from_its_file_to_its_losses_and_its_end(at_work: House) -> None:
    async with signed_in(at_work) as client:
        file = await uploaded(client)
        fields = {"model": "tiny", "training_file": file["id"], "method": "supervised", "suffix": "faq", "epochs": "2"}
        answer = await client.post("/console/jobs/tuning", data=fields)
        assert answer.status_code == 303
        where = answer.headers["location"]
        train(at_work, where.rpartition("/")[2])
        page = (await client.get(where)).text
        assert "running" in page and "n_epochs: 2" in page and "Step 6/6" in page and "0.7500" in page
        charts = (await client.get(f"{where}/charts.json")).json()
        assert charts["loss"]["x"] == [1, 2, 3, 4, 5, 6] and charts["loss"]["steps"] is True
        assert [(each["label"], each["values"][1]) for each in charts["loss"]["series"]] == [
            ("training", 1.0),
            ("validation", 1.5),
        ]
        assert charts["loss"]["series"][1]["values"][0] is None  # what was not measured is a gap
        assert (await client.post(f"{where}/cancel")).status_code == 303
        over = (await client.get(where)).text
        assert "cancelled" in over and ">Cancel</button>" not in over
        assert (await client.post(f"{where}/cancel")).status_code == 400  # it is over


async def test_a_batch_is_started_and_cancelled(at_work: House) -> None:
    async with signed_in(at_work) as client:
        file = await uploaded(client, json.dumps(LINE).encode() + b"\n", "batch")
        fields = {"input_file": file["id"], "endpoint": "/v1/chat/completions"}
        answer = await client.post("/console/jobs/batches", data=fields)
        assert answer.status_code == 303, answer.text
        where = answer.headers["location"]
        assert where.rpartition("/")[2] in (await client.get("/console/jobs")).text
        assert (await client.post(f"{where}/cancel")).status_code == 303
        assert "cancel" in (await client.get(where)).text


async def test_a_file_with_a_problem_is_not_taken(at_work: House) -> None:
    async with signed_in(at_work) as client:
        form = {"data": {"purpose": "fine-tune"}, "files": {"file": ("x.jsonl", b'{"messages": 1}\n')}}
        refused = await client.post("/v1/files", **form)  # type: ignore[arg-type]
        assert refused.status_code == 400 and "Line 1" in refused.json()["error"]["message"]


async def test_the_mask_is_that_of_the_command(at_work: House, tiny_model: Path) -> None:
    add_artifact(Store(at_work.home / "store"), "tiny", read_files(tiny_model))
    async with signed_in(at_work) as client:
        file = await uploaded(client)
        found = await client.get(f"/admin/v1/datasets/{file['id']}", params={"model": "tiny"})
        assert found.status_code == 200, found.text
        sample = found.json()["tokens"]["samples"][0]
        learnt = "".join(token["text"] for token in sample["tokens"] if token["trained"])
        assert "It is" in learnt and "What is" not in learnt
        assert 'class="learnt"' in (await client.get(f"/console/jobs/files/{file['id']}/check?model=tiny")).text
        refused = await client.get(f"/admin/v1/datasets/{file['id']}", params={"model": "renamed"})
        assert (refused.status_code, "Jobs may start from: tiny" in refused.text) == (404, True)
        batch = await uploaded(client, json.dumps(LINE).encode() + b"\n", "batch")
        refused = await client.get(f"/admin/v1/datasets/{batch['id']}", params={"model": "tiny"})
        assert refused.status_code == 400 and "is no training data" in refused.text
    acts = [json.loads(line) for line in (at_work.home / "audit" / "audit.jsonl").read_text().splitlines()]
    assert ("datasets.read", file["id"]) in [(act["act"], act["target"]) for act in acts]


async def test_viewers_look_operators_run_everybodys_and_applications_see_their_own(at_work: House) -> None:
    async with browser_of(at_work, authorization=f"Bearer {at_work.key(may_tune=True, team='a')}") as team:
        job = await started(team)
    asked = {
        "viewer": (200, 200, 403, 403, 403),
        "operator": (200, 200, 200, 200, 200),
        "app": (403, 403, 403, 403, 403),
    }
    for role, expected in asked.items():
        secret = at_work.key(role)  # type: ignore[arg-type]
        async with browser_of(at_work, authorization=f"Bearer {secret}") as client:
            got = (
                (await client.get(f"{TUNING}/{job['id']}")).status_code,
                (await client.get(f"{TUNING}/{job['id']}/events")).status_code,
                (await client.post(TUNING, json={"model": "tiny", "training_file": job["training_file"]})).status_code,
                (await client.post(f"{TUNING}/{job['id']}/cancel")).status_code,
                404 if (code := (await client.get(f"/v1/files/{job['training_file']}")).status_code) == 404 else code,
            )
            assert got[:4] == expected[:4], role
            assert got[4] == (200 if role == "operator" else 404), role
    async with browser_of(at_work, authorization=f"Bearer {at_work.key(may_tune=True, team='b')}") as other:
        assert (await other.get(f"{TUNING}/{job['id']}")).status_code == 404
        assert (await other.get(TUNING)).json()["data"] == []


async def test_a_viewer_finds_no_buttons(at_work: House) -> None:
    async with browser_of(at_work, authorization=f"Bearer {ADMIN_KEY}") as client:
        job = await started(client)
    async with signed_in(at_work, at_work.key("viewer")) as viewer:
        assert "New job" not in (await viewer.get("/console/jobs")).text
        page = (await viewer.get(f"/console/jobs/tuning/{job['id']}")).text
        assert job["id"] in page and ">Cancel</button>" not in page
        assert (await viewer.post(f"/console/jobs/tuning/{job['id']}/cancel")).status_code == 403


async def test_a_batch_needs_a_key_whose_requests_its_lines_are(at_work: House) -> None:
    signed = Space(Principal("oidc_0123456789abcdef", role="operator", known_as="oidc:ada"), sees_all=True)
    wanted = NewBatchRequest(input_file_id="file-1", endpoint="/v1/chat/completions", completion_window="24h")
    database = at_work.database
    try:
        with pytest.raises(NotAllowed, match="oidc:ada cannot make a batch"):
            create(database, BatchesConfig(), StorageQuota(1, 1), signed, wanted)
    finally:
        database.close()
