"""Signing in, what a session may, and how it ends."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from fixtures.console import (
    ADMIN_KEY,
    CONFIG,
    House,
    browser_of,
    house,
    house_in_thread,
    sign_in,
    signed_in,
    token_on,
    with_console,
)
from sqlalchemy import update

from freehold.serve.console import page as console_page
from freehold.serve.console.sign_in import MOST_FAILURES, place_within
from freehold.serve.gateway import sessions
from freehold.serve.gateway.principal import Principal
from freehold.serve.state.database import Database, now
from freehold.serve.state.key_secret import digest_of
from freehold.serve.state.keys import KeyStore
from freehold.serve.state.sessions import Person, SessionStore, count_failure, failures_of
from freehold.serve.state.tables import SessionRow

pytestmark = pytest.mark.slow


def acts(made: House) -> list[dict[str, Any]]:
    log = made.home / "audit" / "audit.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


async def test_a_key_signs_in_and_out(running: House) -> None:
    async with browser_of(running) as client:
        away = await client.get("/console/overview")
        assert (away.status_code, away.headers["location"]) == (303, "/console/sign-in?to=/console/overview")
        answer = await sign_in(client, to="/console/overview")
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/overview")
        cookie = next(each for each in answer.headers.get_list("set-cookie") if each.startswith("__Host-freehold="))
        for attribute in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"):
            assert attribute in cookie
        kept = dict(client.cookies)
        page = await client.get("/console/overview")
        assert page.status_code == 200
        assert "tiny" in page.text
        out = await client.post("/console/sign-out", data={"csrf": token_on(page)})
        assert out.headers["location"] == "/console/sign-in"
        client.cookies.update(kept)
        assert (await client.get("/console/overview")).status_code == 303, "the cookie alone must not bring it back"
    assert [(act["act"], act["actor"], act["origin"]) for act in acts(running)] == [
        ("console.sign_in", "env", "10.1.2.3"),
        ("console.sign_out", "env", "10.1.2.3"),
    ]


async def test_who_is_not_let_in_is_told_why_and_written_down(running: House) -> None:
    application = running.key()
    async with browser_of(running) as client:
        for key, status, says in (
            ("wrong", 401, "no API key of this gateway"),
            (application, 403, "of an application"),
        ):
            answer = await sign_in(client, key)
            assert answer.status_code == status
            assert says in answer.text
            assert key not in answer.text
            assert "__Host-freehold=" not in str(answer.headers)
    assert [(act["outcome"], act["details"]["error"]) for act in acts(running)] == [
        ("refused", "invalid_api_key"),
        ("refused", "admin_only"),
    ]
    assert application not in (running.home / "audit" / "audit.jsonl").read_text()


async def test_a_sign_in_that_another_site_sends_is_refused(running: House) -> None:
    async with browser_of(running) as client:
        assert (await client.post("/console/sign-in", data={"key": ADMIN_KEY})).status_code == 403
        worked_out = {"key": ADMIN_KEY, "csrf": sessions.token_of(b"")}
        assert (await client.post("/console/sign-in", data=worked_out)).status_code == 403
        await client.get("/console/sign-in")
        assert (await client.post("/console/sign-in", data={"key": ADMIN_KEY, "csrf": "0" * 64})).status_code == 403


async def test_one_address_may_fail_so_often(running: House) -> None:
    async with browser_of(running) as client:
        for _ in range(MOST_FAILURES):
            assert (await sign_in(client, "a-wrong-key-of-some-length")).status_code == 401
        answer = await sign_in(client)
        assert answer.status_code == 429
        assert "Wait two minutes" in answer.text
    transport = httpx.ASGITransport(running.gateway, client=("10.9.9.9", 1))
    async with httpx.AsyncClient(transport=transport, base_url="https://console.test") as another:
        assert (await sign_in(another)).status_code == 303


async def test_failures_are_counted_by_minute_and_forgotten(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from freehold.serve.state import sessions as module

    clock = [6000.0]
    monkeypatch.setattr(module, "now", lambda connection: clock[0])
    for _ in range(3):
        await count_failure(database, "::1")
    assert await failures_of(database, "::1") == 3
    assert await failures_of(database, "10.0.0.1") == 0
    clock[0] += 60
    await count_failure(database, "::1")
    assert await failures_of(database, "::1") == 4
    clock[0] += 120
    assert await failures_of(database, "::1") == 0


@pytest.mark.parametrize(
    ("target", "place"),
    [
        ("/console/usage?by=key", "/console/usage?by=key"),
        ("/console", "/console"),
        ("https://evil.example/console/", "/console/overview"),
        ("//evil.example/console/", "/console/overview"),
        ("/console/\\evil", "/console/overview"),
        ("/consoles", "/console/overview"),
        ("//[", "/console/overview"),
        ("/console/\r\nset-cookie: a=b", "/console/overview"),
        ("", "/console/overview"),
    ],
)
def test_a_sign_in_leads_to_the_console_alone(target: str, place: str) -> None:
    assert place_within(target) == place


# -- what a cookie alone may do ----------------------------------------------------------------------------------------


async def forge(client: httpx.AsyncClient, path: str, headers: dict[str, str]) -> int:
    """The status of a change that another site makes the browser send: the cookie goes along, the token does not."""
    headers = {"content-type": "application/x-www-form-urlencoded", **headers}
    return (await client.post(path, content=b"name=stolen", headers=headers)).status_code


async def test_a_change_without_the_sessions_token_is_refused(running: House) -> None:
    async with browser_of(running) as client, signed_in(running) as other:
        await sign_in(client)
        foreign = {"x-csrf-token": other.headers["x-csrf-token"]}
        for path in ("/console/keys", "/console/sign-out"):
            for headers in ({}, foreign):
                assert await forge(client, path, headers) == 403, path
        for headers in ({}, foreign):
            refused = await client.post("/admin/v1/keys", json={"name": "stolen"}, headers=headers)
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "csrf")
        assert (await client.get("/admin/v1/keys")).status_code == 403, "a cookie alone does not even read the API"
        assert (await client.get("/v1/models")).status_code == 403
        assert (await other.get("/admin/v1/keys")).json()["data"] == []


async def test_without_the_check_a_forged_change_would_be_made(running: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: the test above must be able to fail."""

    async def let_through(request: object, expected: str) -> None: ...

    monkeypatch.setattr(console_page, "require_token", let_through)
    async with browser_of(running) as client:
        await sign_in(client)
        assert await forge(client, "/console/keys", {}) == 200


async def test_a_session_is_an_identity_for_the_whole_api(running: House) -> None:
    async with signed_in(running) as client:
        who = (await client.get("/admin/v1/session")).json()
        assert (who["actor"], who["role"]) == ("env", "admin")
        assert [model["id"] for model in (await client.get("/v1/models")).json()["data"]] == ["tiny", "renamed", "chat"]
        assert (await client.get("/v1/files")).json()["data"] == []


def test_a_session_asks_a_model_and_the_engine_sees_nothing_of_it(tmp_path: Path) -> None:
    with (
        house_in_thread(tmp_path, with_console(secureCookies=False)) as made,
        httpx.Client(base_url=made.url) as client,
    ):
        fields = dict(re.findall(r'name="(csrf|to)" value="([^"]*)"', client.get("/console/sign-in").text))
        assert client.post("/console/sign-in", data={**fields, "key": ADMIN_KEY}).status_code == 303
        token = {"x-csrf-token": token_on(client.get("/console/overview"))}
        body = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}]}
        assert client.post("/v1/chat/completions", json=body).status_code == 403
        assert client.post("/v1/chat/completions", json=body, headers=token).status_code == 200
        (call,) = (call for call in made.engines["tiny"].calls if call.method == "POST")
        assert not {"cookie", "x-csrf-token"} & {name.lower() for name, _ in call.headers}


# -- roles -------------------------------------------------------------------------------------------------------------

READS = ("/admin/v1/session", "/admin/v1/engines", "/admin/v1/overview", "/admin/v1/usage", "/admin/v1/keys")
SECRET_READS = ("/admin/v1/audit", "/admin/v1/recordings")


async def try_all(client: httpx.AsyncClient) -> dict[str, bool]:
    """What is allowed, by what is tried."""
    tries = {
        "read": [await client.get(path) for path in READS],
        "read secrets": [await client.get(path) for path in SECRET_READS],
        "run": [await client.post("/admin/v1/models/tiny/adapters", json={"name": "a", "artifact": "b"})],
        "administer": [await client.post("/admin/v1/keys", json={"name": "chat"})],
    }
    found = {}
    for name, answers in tries.items():
        refused = {answer.status_code == 403 and answer.json()["error"]["code"] == "role_too_low" for answer in answers}
        assert len(refused) == 1, f"{name}: {[(answer.url, answer.status_code) for answer in answers]}"
        found[name] = refused == {False}
    return found


ALLOWED = {
    "viewer": {"read": True, "read secrets": False, "run": False, "administer": False},
    "operator": {"read": True, "read secrets": False, "run": True, "administer": False},
    "admin": {"read": True, "read secrets": True, "run": True, "administer": True},
}


@pytest.mark.parametrize("role", ALLOWED)
@pytest.mark.parametrize("by", ["session", "key"])
async def test_the_api_itself_enforces_roles(running: House, role: Any, by: str) -> None:
    key = running.key(role)
    if by == "session":
        async with signed_in(running, key) as client:
            assert await try_all(client) == ALLOWED[role]
    else:
        async with browser_of(running, authorization=f"Bearer {key}") as client:
            assert await try_all(client) == ALLOWED[role]


async def test_without_the_check_a_viewer_would_administer(running: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: the test above must be able to fail."""
    monkeypatch.setattr(Principal, "is_at_least", lambda self, role: True)
    async with browser_of(running, authorization=f"Bearer {running.key('viewer')}") as client:
        assert await try_all(client) != ALLOWED["viewer"]


async def test_the_navigation_shows_what_the_role_reaches(running: House) -> None:
    async with signed_in(running, running.key("viewer")) as client:
        page = await client.get("/console/keys")
        assert "Audit log" not in page.text
        assert "Create a key" not in page.text
        assert (await client.get("/console/audit")).status_code == 403
        assert "it takes the role admin" in (await client.get("/console/audit")).text


# -- how it ends -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["revoke", "rotate"])
async def test_a_session_lasts_no_longer_than_its_key(running: House, change: str) -> None:
    database = running.database
    store = KeyStore(database)
    secret = running.key("operator")
    (record,) = (key for key in store.list() if key.name == "operator")
    async with signed_in(running, secret) as client, signed_in(running) as admin:
        assert (await client.get("/console/overview")).status_code == 200
        path = f"/admin/v1/keys/{record.id}"
        changed = await (admin.delete(path) if change == "revoke" else admin.post(f"{path}/rotate"))
        assert changed.status_code == 200
        assert (await client.get("/console/overview")).status_code == 303
        assert (await client.get("/admin/v1/usage")).status_code == 401
    database.close()


async def test_a_session_ends_by_the_databases_clock(database: Database) -> None:
    store = SessionStore(database, lifetime_s=100, idle_s=10)
    secret = (await store.begin(Person(subject="ada", role="viewer"))).encode()
    found = await store.find(secret)
    assert found is not None
    assert (found.subject, found.role, found.proof) == ("ada", "viewer", None)
    assert await store.find(b"another") is None
    for column in (SessionRow.seen_at, SessionRow.expires_at):
        again = (await store.begin(Person(proof=digest_of(b"x")))).encode()
        with database.transaction() as connection:
            connection.execute(update(SessionRow).values({column.key: now(connection) - 11}))
        assert await store.find(again) is None


async def test_a_sign_out_counts_in_every_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "KNOWN_S", 0.0)
    async with house(tmp_path) as first, house(tmp_path) as second, signed_in(first) as client:
        there = browser_of(second)
        there.cookies.update(dict(client.cookies))
        assert (await there.get("/console/overview")).status_code == 200
        await client.post("/console/sign-out")
        assert (await there.get("/console/overview")).status_code == 303
        await there.aclose()


async def test_a_fragment_that_needs_a_sign_in_leads_the_whole_page_there(running: House) -> None:
    async with browser_of(running) as client:
        answer = await client.get("/console/overview/live", headers={"hx-request": "true"})
        assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/console/sign-in")


# -- where it is not ---------------------------------------------------------------------------------------------------


async def test_a_console_that_is_left_out_is_not_there(tmp_path: Path) -> None:
    async with house(tmp_path, with_console(enabled=False)) as made, browser_of(made) as client:
        assert (await client.get("/console")).status_code == 404
        assert (await client.get("/admin/v1/session", headers={"x-api-key": ADMIN_KEY})).status_code == 200


async def test_where_no_keys_are_asked_for_the_console_still_asks(tmp_path: Path) -> None:
    data = {**CONFIG, "gateway": {**CONFIG["gateway"], "auth": "none"}}
    async with house(tmp_path, data) as made, browser_of(made) as client:
        assert (await client.get("/console/overview")).status_code == 303
        await sign_in(client)
        assert (await client.get("/console/overview")).status_code == 200


async def test_a_cookie_that_another_host_of_the_domain_could_set_does_not_count(running: House) -> None:
    async with browser_of(running) as client, browser_of(running) as victim:
        await sign_in(client)
        secret = client.cookies["__Host-freehold"]
        assert (await victim.get("/console/overview", headers={"cookie": f"freehold={secret}"})).status_code == 303
        planted = f"__Host-freehold={secret}"
        assert (await victim.get("/console/overview", headers={"cookie": planted})).status_code == 200


async def test_what_is_no_secret_is_not_looked_up(running: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(self: object, secret: bytes) -> None:
        raise AssertionError("the database was asked")

    monkeypatch.setattr(SessionStore, "find", fail)
    async with browser_of(running) as client:
        for secret in ("x", "y" * 44, "%00" * 43):
            answer = await client.get("/v1/models", headers={"cookie": f"__Host-freehold={secret}"})
            assert answer.status_code == 401
