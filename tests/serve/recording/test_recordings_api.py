"""The recordings over HTTP, in the smallest application that mounts them."""

import json
from pathlib import Path

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from fixtures.recordings import recorded

from freehold.core.errors import FreeholdError
from freehold.core.recording import RecordedExchange, RecordingStore
from freehold.serve.admin.recordings import recordings_router

URL = "/admin/v1/recordings"


@pytest.fixture
def store(tmp_path: Path) -> RecordingStore:
    return RecordingStore(tmp_path / "recordings")


@pytest.fixture
def client(store: RecordingStore) -> TestClient:
    app = FastAPI()
    app.include_router(recordings_router(store, lambda request: request.headers["x-key-id"]))

    @app.exception_handler(FreeholdError)
    async def failed(request: Request, error: FreeholdError) -> JSONResponse:
        return JSONResponse({"code": error.code}, status_code=error.http_status)

    return TestClient(app, headers={"x-key-id": "key_7"})


def test_the_list_names_routes_and_days(store: RecordingStore, client: TestClient) -> None:
    store.append([recorded(), recorded(route="other")])
    answer = client.get(URL, params={"route": "support"})
    (row,) = answer.json()["data"]
    size = row.pop("size_bytes")
    assert (answer.status_code, row) == (200, {"route": "support", "day": "2026-03-01", "records": 1})
    assert size > 0
    assert len(client.get(URL).json()["data"]) == 2


def test_one_record(store: RecordingStore, client: TestClient) -> None:
    exchange = recorded()
    store.append([exchange])
    assert RecordedExchange.model_validate(client.get(f"{URL}/{exchange.id}").json()) == exchange
    assert client.get(f"{URL}/{recorded().id}").status_code == 404
    assert client.get(f"{URL}/nonsense").status_code == 400


def test_a_record_of_any_depth_is_shown(store: RecordingStore, client: TestClient) -> None:
    exchange = recorded(request=json.loads('{"a":' * 400 + "1" + "}" * 400))
    store.append([exchange])
    answer = client.get(f"{URL}/{exchange.id}")
    assert (answer.headers["content-type"], answer.json()["request"]) == ("application/json", exchange.request)


def test_the_export_is_one_record_a_line(store: RecordingStore, client: TestClient) -> None:
    answers = [recorded(), recorded()]
    store.append([*answers, recorded(kind="shadow")])
    answer = client.get(f"{URL}/export", params={"route": "support", "kind": "answer", "since": "2026-03-01"})
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["x-freehold-records"] == "2"
    lines = answer.text.splitlines()
    assert [RecordedExchange.model_validate(json.loads(line)) for line in lines] == answers


@pytest.mark.parametrize("wrong", [{"kind": "draft"}, {"since": "soon"}, {"until": "2026-99-99"}])
def test_a_wrong_filter_is_refused_and_reads_nothing(
    store: RecordingStore, client: TestClient, wrong: dict[str, str]
) -> None:
    assert client.get(f"{URL}/export", params={"route": "support"} | wrong).status_code == 400
    assert store.access.entries() == []


def test_the_log_names_the_administrator(store: RecordingStore, client: TestClient) -> None:
    exchange = recorded()
    store.append([exchange])
    client.get(URL)
    client.get(f"{URL}/{exchange.id}")
    client.get(f"{URL}/export", params={"route": "support"})
    logged = [(entry["who"], entry["action"]) for entry in store.access.entries()]
    assert logged == [("key_7", "list"), ("key_7", "show"), ("key_7", "export")]


def test_what_cannot_be_logged_is_not_sent(store: RecordingStore, client: TestClient) -> None:
    store.append([recorded()])
    store.access.path.mkdir()
    with pytest.raises(OSError):
        client.get(f"{URL}/export", params={"route": "support"})
