"""The catalogue, artifacts and lineage over HTTP: what is told, what is left out, and who may ask."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fixtures.console import ADMIN_KEY, House, browser_of, house
from fixtures.library import MODEL, add_orphan, add_pulled, furnish, write_manifest

from freehold.core.manifest import ModelManifest
from freehold.core.manifest.catalogue import read_manifest
from freehold.core.store import Store
from freehold.core.store.index import ArtifactIndex
from freehold.core.store.lineage import LINEAGE_FILE
from freehold.serve.library.shelf import Shelf

pytestmark = pytest.mark.slow


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        yield made


@pytest.fixture
async def client(running: House) -> AsyncIterator[httpx.AsyncClient]:
    async with browser_of(running, authorization=f"Bearer {ADMIN_KEY}") as made:
        yield made


async def get(client: httpx.AsyncClient, path: str, **query: Any) -> Any:
    answer = await client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_catalogue_is_narrowed(client: httpx.AsyncClient) -> None:
    everything = await get(client, "/admin/v1/catalogue")
    qwen = await get(client, "/admin/v1/catalogue", family="qwen", capability="tools,reasoning", license="apache-2.0")
    assert 0 < qwen["matches"] < everything["matches"] == len(everything["data"])
    assert {each["family"] for each in qwen["data"]} == {"qwen"}
    assert all({"tools", "reasoning"} <= set(each["capabilities"]) for each in qwen["data"])
    assert qwen["facets"] == everything["facets"]
    assert (await get(client, "/admin/v1/catalogue", search="no such words"))["data"] == []


async def test_what_fits_is_what_the_planner_says(client: httpx.AsyncClient) -> None:
    small, large = "smollm2-135m-instruct", "deepseek-v4-pro"
    told = await get(client, "/admin/v1/catalogue", gpus="1xL4")
    by_id = {each["id"]: each for each in told["data"]}
    assert (by_id[small]["fits"], by_id[large]["fits"], by_id["bge-m3"]["fits"]) == ("yes", "no", "unknown")
    assert "L4" in by_id[large]["fits_why"] and "generates no text" in by_id["bge-m3"]["fits_why"]
    only = {each["id"] for each in (await get(client, "/admin/v1/catalogue", fits="1xL4"))["data"]}
    assert only == {each["id"] for each in told["data"] if each["fits"] == "yes"}
    assert told["unknown"] == sum(each["fits"] == "unknown" for each in told["data"]) > 0


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ({"capability": "telepathy"}, 400, "there are tools"),
        ({"fits": "9xAbacus"}, 404, "No GPU"),
        ({"gpus": "0xL4"}, 400, "are no GPUs"),
        ({"limit": "0"}, 400, "limit"),
    ],
)
async def test_what_cannot_be_asked_is_refused(
    client: httpx.AsyncClient, query: dict[str, str], status: int, says: str
) -> None:
    answer = await client.get("/admin/v1/catalogue", params=query)
    assert answer.status_code == status
    assert says in answer.json()["error"]["message"]


async def test_a_machine_without_a_gpu_says_so(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freehold.core.plan.machine.nvidia_smi", lambda *query: [])
    told = await get(client, "/admin/v1/catalogue")
    assert told["machine"]["gpus"] is None and "no NVIDIA GPU" in told["machine"]["why"]
    answer = await client.get("/admin/v1/catalogue", params={"fits": "here"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "environment")


async def test_pages_follow_each_other(client: httpx.AsyncClient) -> None:
    whole = [each["id"] for each in (await get(client, "/admin/v1/catalogue"))["data"]]
    found: list[str] = []
    page = await get(client, "/admin/v1/catalogue", limit=20)
    found += [each["id"] for each in page["data"]]
    while page["has_more"]:
        page = await get(client, "/admin/v1/catalogue", limit=20, after=page["last_id"])
        found += [each["id"] for each in page["data"]]
    assert found == whole


async def test_own_manifests_count_and_a_broken_one_hides_no_other(running: House, client: httpx.AsyncClient) -> None:
    write_manifest(running.home, "zebra")
    write_manifest(running.home, "broken", family="NO FAMILY")
    told = await get(client, "/admin/v1/catalogue", search="zebra")
    assert [each["id"] for each in told["data"]] == ["zebra"]
    assert len(told["problems"]) == 1 and told["problems"][0].startswith("broken.yaml: family")


async def test_artifacts_know_their_model_and_who_serves_them(running: House, client: httpx.AsyncClient) -> None:
    lived = furnish(running.home)
    running.engines["tiny"].artifact_id = lived.base.id
    found = {each["id"]: each for each in (await get(client, "/admin/v1/artifacts"))["data"]}
    assert found[lived.base.id]["served_as"] == ["tiny"]
    assert {each["model"] for each in found.values()} == {MODEL}
    assert found[lived.adapter.id]["evaluations"] == {"support": "replace"}
    assert [each["id"] for each in (await get(client, "/admin/v1/artifacts", kind="adapter"))["data"]] == [
        lived.adapter.id
    ]
    detail = await get(client, f"/admin/v1/artifacts/{lived.base.id}")
    assert set(detail["children"]) == {lived.adapter.id, lived.small.id}
    assert (await get(client, f"/admin/v1/artifacts/{lived.small.id}"))["gates"] == {"quality": False}
    model = await get(client, f"/admin/v1/catalogue/{MODEL}")
    assert set(model["artifacts"]) == set(found)


async def test_lineage_leads_from_source_to_served(running: House, client: httpx.AsyncClient) -> None:
    lived = furnish(running.home)
    running.engines["tiny"].artifact_id = lived.adapter.id
    graph = await get(client, f"/admin/v1/artifacts/{lived.adapter.id}/lineage")
    after = {edge["before"]: edge["after"] for edge in graph["edges"]}
    way = [graph["nodes"][0]["id"]]
    while way[-1] in after:
        way.append(after[way[-1]])
    kinds = [next(node["kind"] for node in graph["nodes"] if node["id"] == each) for each in way]
    assert kinds == ["source", "step", "artifact", "step", "artifact", "gate", "evaluation", "served"]
    gate = next(node for node in graph["nodes"] if node["kind"] == "gate")
    assert (gate["state"], gate["evidence"]["measurements"]["tokens"]) == ("passed", 480)


async def test_lineage_hides_neither_a_failed_gate_nor_one_that_was_never_asked(
    running: House, client: httpx.AsyncClient
) -> None:
    lived = furnish(running.home)
    orphan = add_orphan(lived.store)
    failed = await get(client, f"/admin/v1/artifacts/{lived.small.id}/lineage")
    (gate,) = [node for node in failed["nodes"] if node["kind"] == "gate"]
    assert gate["state"] == "failed" and gate["text"].startswith("Perplexity")
    states = {
        node["kind"]: node["state"] for node in (await get(client, f"/admin/v1/artifacts/{orphan.id}/lineage"))["nodes"]
    }
    assert (states["missing"], states["gate"]) == ("gone", "not judged")


async def test_a_gates_report_is_for_operators_and_has_no_origin(running: House, client: httpx.AsyncClient) -> None:
    lived = furnish(running.home)
    path = f"/admin/v1/artifacts/{lived.small.id}/gates/quality"
    assert (await client.get(path)).status_code == 404
    (lived.store.verdict_folder(lived.small.id) / "quality.html").write_text("<html>what it said</html>")
    page = await client.get(path)
    assert page.text == "<html>what it said</html>"
    assert page.headers["content-security-policy"].startswith("sandbox allow-scripts; default-src 'none'")
    graph = await get(client, f"/admin/v1/artifacts/{lived.small.id}/lineage")
    assert [node["report"] for node in graph["nodes"] if node["kind"] == "gate"] == ["quality"]
    assert (await client.get(path.replace("quality", "secrets"))).status_code == 400
    async with browser_of(running, authorization=f"Bearer {running.key('viewer')}") as viewer:
        assert (await viewer.get(path)).status_code == 403


async def test_an_unreadable_artifact_hides_no_other(running: House, client: httpx.AsyncClient) -> None:
    lived = furnish(running.home)
    (lived.small.path / LINEAGE_FILE).write_text("{}")
    told = await get(client, "/admin/v1/artifacts")
    assert {each["id"] for each in told["data"]} == {lived.base.id, lived.adapter.id}
    assert len(told["problems"]) == 1 and lived.small.id in told["problems"][0]


@pytest.mark.parametrize("path", ["catalogue", "artifacts", "artifacts/x", "artifacts/x/lineage"])
async def test_viewers_read_and_applications_do_not(running: House, path: str) -> None:
    for role, expected in (("app", 403), ("viewer", 404 if "/x" in path else 200)):
        async with browser_of(running, authorization=f"Bearer {running.key(role)}") as asking:  # type: ignore[arg-type]
            assert (await asking.get(f"/admin/v1/{path}")).status_code == expected, role
    async with browser_of(running) as nobody:
        assert (await nobody.get(f"/admin/v1/{path}")).status_code == 401


async def test_what_is_large_is_read_before_anybody_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a thousand manifests takes longer than a page may."""
    write_manifest(tmp_path, "ours")
    read: list[str] = []

    def watched(path: Path) -> ModelManifest:
        read.append(path.stem)
        return read_manifest(path)

    monkeypatch.setattr("freehold.serve.library.shelf.read_manifest", watched)
    async with house(tmp_path), asyncio.timeout(30):
        while not read:
            await asyncio.sleep(0.01)
    assert read == ["ours"]


def test_what_has_not_changed_is_not_read_again(tmp_path: Path) -> None:
    """A thousand of each: the second look reads nothing, and a change reads what has changed alone."""
    store, index = Store(tmp_path / "store"), ArtifactIndex(Store(tmp_path / "store"))
    first = add_pulled(store, "model-0")
    template = (first.path / LINEAGE_FILE).read_text()
    for number in range(1, 1000):
        folder = first.path.parent / f"copy-{number}"
        folder.mkdir()
        folder.joinpath(LINEAGE_FILE).write_text(template.replace(first.id, folder.name))
    assert (len(index.artifacts()), index.reads) == (1000, 1000)
    assert (len(index.artifacts()), index.reads) == (1000, 1000)
    changed = first.path.parent / "copy-7" / LINEAGE_FILE
    changed.write_text(json.dumps({**json.loads(changed.read_text()), "license": "MIT"}))
    assert index.get("copy-7").lineage.license == "MIT"
    assert index.reads == 1001

    shelf = Shelf(tmp_path / "manifests")
    written = write_manifest(tmp_path, "ours")
    assert ("ours" in shelf.catalogue()[0].manifests, shelf.reads) == (True, 1)
    assert ("ours" in shelf.catalogue()[0].manifests, shelf.reads) == (True, 1)
    written.unlink()
    assert ("ours" in shelf.catalogue()[0].manifests, shelf.reads) == (False, 1)
