"""`/admin/v1/keys` in the smallest application that answers it."""

import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from freehold.serve.admin.keys import keys_router
from freehold.serve.audit import AuditLog
from freehold.serve.gateway.errors import Unauthorized
from freehold.serve.gateway.keyring import KeyRing
from freehold.serve.gateway.pages import handle_errors
from freehold.serve.state.database import Database
from freehold.serve.state.key_fields import NewKey
from freehold.serve.state.keys import KeyStore
from freehold.serve.state.tables import KeyRow

ADMIN_KEY = "the-administrators-key"
PATH = "/admin/v1/keys"


@pytest.fixture
def store(database: Database) -> KeyStore:
    return KeyStore(database)


@pytest.fixture
def audit(tmp_path: Path) -> AuditLog:
    return AuditLog(tmp_path / "audit.jsonl")


@pytest.fixture
async def keyring(store: KeyStore) -> AsyncIterator[KeyRing]:
    ring = KeyRing(store, 3600, admin_key=ADMIN_KEY)
    await ring.start()
    yield ring
    await ring.close()


@pytest.fixture
async def client(store: KeyStore, audit: AuditLog, keyring: KeyRing) -> AsyncIterator[httpx.AsyncClient]:
    """A client that sends the admin key."""

    app = FastAPI()
    handle_errors(app)
    app.include_router(keys_router(store, audit, keyring))
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    transport = httpx.ASGITransport(app, client=("10.1.2.3", 1234))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers) as opened:
        yield opened


def acts(audit: AuditLog) -> list[dict[str, Any]]:
    return [json.loads(line) for line in audit.path.read_text().splitlines()]


async def create(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await client.post(PATH, json={"name": "chat", **fields})
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


def proves(keyring: KeyRing, secret: str) -> bool:
    try:
        return bool(keyring.find([(b"x-api-key", secret.encode())]).key_id)
    except Unauthorized:
        return False


async def test_a_key_is_created_and_works_at_once(client: httpx.AsyncClient, keyring: KeyRing) -> None:
    answer = await client.post(
        PATH,
        json={
            "name": "chat",
            "team": "search",
            "models": ["tiny"],
            "requests_per_minute": 60,
            "monthly_money": 12.5,
            "expires": "90d",
        },
    )
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    created = answer.json()
    secret = created.pop("key")
    assert proves(keyring, secret)
    assert created["expires_at"] - created["created_at"] == pytest.approx(90 * 86_400, abs=1)
    for name in ("id", "created_at", "expires_at"):
        assert created[name]
    assert {name: value for name, value in created.items() if name not in ("id", "created_at", "expires_at")} == {
        "object": "api_key",
        "name": "chat",
        "role": "app",
        "status": "active",
        "hint": secret[:7],
        "team": "search",
        "owner": "",
        "label": "must-stay",
        "may_tune": False,
        "models": ["tiny"],
        "routes": None,
        "requests_per_minute": 60,
        "tokens_per_minute": None,
        "concurrent_requests": None,
        "monthly_tokens": None,
        "monthly_money": 12.5,
        "revoked_at": None,
        "previous_until": None,
    }
    shown = await client.get(f"{PATH}/{created['id']}")
    assert (shown.status_code, shown.json()) == (200, created)


async def test_a_change_names_only_what_changes(client: httpx.AsyncClient, keyring: KeyRing) -> None:
    created = await create(client, owner="ada", tokens_per_minute=5, monthly_tokens=7)
    changes = {"label": "may-leave", "tokens_per_minute": None, "monthly_money": 0.25}
    answer = await client.patch(f"{PATH}/{created['id']}", json=changes)
    assert answer.status_code == 200
    changed = answer.json()
    assert {name: changed[name] for name in changes} == changes
    assert (changed["owner"], changed["monthly_tokens"]) == ("ada", 7)
    assert keyring.find([(b"x-api-key", created["key"].encode())]).may_leave


async def test_a_rotation_has_a_grace_period_or_none(client: httpx.AsyncClient, keyring: KeyRing) -> None:
    created = await create(client)
    path = f"{PATH}/{created['id']}/rotate"
    answer = await client.post(path, json={"grace_s": 60})
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    second = answer.json()["key"]
    assert proves(keyring, created["key"])
    assert proves(keyring, second)
    third = (await client.post(path)).json()["key"]
    assert [proves(keyring, secret) for secret in (created["key"], second, third)] == [False, False, True]


async def test_a_revoked_key_is_refused_at_once_and_stays_in_the_books(
    client: httpx.AsyncClient, keyring: KeyRing
) -> None:
    created = await create(client)
    for _ in range(2):
        answer = await client.delete(f"{PATH}/{created['id']}")
        assert (answer.status_code, answer.json()["status"]) == (200, "revoked")
    assert not proves(keyring, created["key"])
    assert (await client.get(PATH)).json()["data"] == []
    (kept,) = (await client.get(PATH, params={"include_revoked": True})).json()["data"]
    assert kept == answer.json()


async def test_keys_come_in_pages(client: httpx.AsyncClient, store: KeyStore) -> None:
    store.create_many([NewKey(name=f"key {number}", team="a") for number in range(5)])
    store.create(NewKey(name="other", team="b"))
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2, "team": "a"}
    for _ in range(3):
        page = (await client.get(PATH, params=query)).json()
        ids = [key["id"] for key in page["data"]]
        assert (page["object"], page["first_id"], page["last_id"]) == ("list", ids[0], ids[-1])
        seen += ids
        query["after"] = page["last_id"]
    assert not page["has_more"]
    assert seen == [record.id for record in store.list(team="a")]
    empty = (await client.get(PATH, params={"team": "nobody"})).json()
    assert (empty["data"], empty["first_id"], empty["has_more"]) == ([], None, False)


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "invalid_api_key"),
        ({"authorization": "Bearer fh-" + "x" * 43}, 401, "invalid_api_key"),
        ({"authorization": "Bearer APP"}, 403, "admin_only"),
        ({"x-api-key": "ADMIN"}, 200, None),
    ],
)
@pytest.mark.slow
async def test_administrators_alone_come_in(
    headers: dict[str, str], status: int, code: str | None, client: httpx.AsyncClient, store: KeyStore
) -> None:
    (_, app), (_, admin) = store.create_many([NewKey(name="app"), NewKey(name="admin", role="admin")])
    del client.headers["authorization"]
    sent = {name: value.replace("APP", app).replace("ADMIN", admin) for name, value in headers.items()}
    for method, path in (
        ("GET", PATH),
        ("POST", PATH),
        ("GET", f"{PATH}/key_1"),
        ("PATCH", f"{PATH}/key_1"),
        ("DELETE", f"{PATH}/key_1"),
        ("POST", f"{PATH}/key_1/rotate"),
    ):
        if status != 200:
            answer = await client.request(method, path, headers=sent, json={"name": "mine"})
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    answer = await client.get(PATH, headers=sent)
    assert answer.status_code == status
    assert len(store.list()) == 2


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE", "POST"])
async def test_an_unknown_key_is_not_found(method: str, client: httpx.AsyncClient) -> None:
    path = f"{PATH}/key_000000000000" + ("/rotate" if method == "POST" else "")
    answer = await client.request(method, path, json={})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "content", "param", "message"),
    [
        ("POST", "", b"{", None, "the body is not JSON"),
        ("POST", "", b'{"name": "\xff"}', None, "body is not JSON"),
        ("POST", "", b"[" * 100_000, None, "body is not JSON"),
        ("POST", "", b"[]", None, "should be a valid dictionary"),
        ("POST", "", b'{"name":"x","expires":"soon","budget":1}', "expires", "budget: unknown field"),
        ("POST", "", b'{"name":"x","models":["a b"]}', "models.0", "string should match pattern"),
        ("POST", "", b'{"name":"x","monthly_money":NaN}', "monthly_money", "should be a finite number"),
        ("PATCH", "/key_1", b'{"name":"x"}', "name", "unknown field"),
        ("PATCH", "/key_1", b'{"label":null}', "label", "label: input should be"),
        ("POST", "/key_1/rotate", b'{"grace_s":-1}', "grace_s", "greater than or equal to 0"),
        ("POST", "/key_1/rotate", b'{"grace_s":1e9}', "grace_s", "less than or equal to 2592000"),
        ("GET", "?limit=0", b"", "limit", "greater than or equal to 1"),
        ("GET", "?limit=many", b"", "limit", "valid integer"),
    ],
)
async def test_a_wrong_field_is_a_400_that_names_it(
    method: str, path: str, content: bytes, param: str | None, message: str, client: httpx.AsyncClient
) -> None:
    headers = {"content-type": "application/json"}
    answer = await client.request(method, PATH + path, content=content, headers=headers)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert message in error["message"]


async def test_every_change_is_audited_and_no_secret_is_written_down(
    client: httpx.AsyncClient, audit: AuditLog, store: KeyStore, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        created = await create(client, monthly_tokens=7)
        path = f"{PATH}/{created['id']}"
        await client.patch(path, json={"monthly_tokens": None})
        rotated = (await client.post(f"{path}/rotate", json={"grace_s": 60})).json()
        await client.delete(path)
        await client.post(f"{path}/rotate")
        await client.get(PATH)
    told = [(act["act"], act["outcome"], act["details"]) for act in acts(audit)]
    assert told == [
        ("keys.create", "done", {"name": "chat", "monthly_tokens": 7}),
        ("keys.update", "done", {"monthly_tokens": None}),
        ("keys.rotate", "done", {"grace_s": 60}),
        ("keys.revoke", "done", {}),
        ("keys.rotate", "refused", {"grace_s": 0, "error": "invalid_request"}),
    ]
    assert {(act["actor"], act["target"], act["origin"]) for act in acts(audit)} == {("env", created["id"], "10.1.2.3")}
    rows = store.database.call(lambda connection: connection.execute(select(KeyRow.__table__)).all())
    written = audit.path.read_text() + caplog.text + repr(rows)
    for secret in (created["key"], rotated["key"], ADMIN_KEY):
        assert secret not in written


async def test_nothing_is_done_that_cannot_be_audited(
    client: httpx.AsyncClient, audit: AuditLog, store: KeyStore, tmp_path: Path
) -> None:
    audit.path = tmp_path / "file" / "audit.jsonl"
    (tmp_path / "file").touch()
    answer = await client.post(PATH, json={"name": "chat"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "audit_unavailable")
    assert store.list() == []
