"""Sign-in by OpenID Connect, against a provider that speaks it over HTTP."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fixtures.console import BASE_URL, House, browser_of, house, sign_in
from fixtures.console_identity import PROVIDERS_WARNINGS, SECRET, console, issuer

from freehold.core.errors import ConfigError
from freehold.core.settings import Settings
from freehold.serve.config import ConsoleConfig, DeploymentConfig
from freehold.serve.governing import check_governance

__all__ = ["issuer"]
pytestmark = [PROVIDERS_WARNINGS, pytest.mark.slow]


@pytest.fixture
async def running(tmp_path: Path, issuer: str) -> AsyncIterator[House]:
    async with house(tmp_path, console(issuer), SECRET) as made:
        yield made


async def come_back(client: httpx.AsyncClient, subject: str) -> str:
    """Where the provider sends the browser, after this subject has agreed."""
    started = await client.get("/console/oidc/start", params={"to": "/console/usage?by=key"})
    assert started.status_code == 303, started.text
    async with httpx.AsyncClient() as browser:
        agreed = await browser.post(started.headers["location"], data={"sub": subject})
    assert agreed.status_code == 302, agreed.text
    return agreed.headers["location"].removeprefix(BASE_URL)


async def test_a_subject_signs_in_with_the_role_of_its_groups(running: House) -> None:
    async with browser_of(running) as client:
        assert "Sign in with single sign-on" in (await client.get("/console/sign-in")).text
        answer = await client.get(await come_back(client, "ada"))
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/usage?by=key")
        page = await client.get("/console/overview")
        assert page.status_code == 200
        assert re.search(r"Ada Lovelace\s*<span class=\"tag\">operator", page.text)


async def test_what_a_subject_does_is_in_the_audit_log_under_its_name(running: House) -> None:
    async with browser_of(running) as client:
        await client.get(await come_back(client, "grace"))
        token = re.search(r'csrf-token" content="(\w+)"', (await client.get("/console/overview")).text)
        assert token is not None
        made = await client.post("/admin/v1/keys", json={"name": "chat"}, headers={"x-csrf-token": token[1]})
        assert made.status_code == 201
    lines = (running.home / "audit" / "audit.jsonl").read_text().splitlines()
    acts = [(line["act"], line["actor"], line["outcome"]) for line in map(json.loads, lines)]
    assert acts == [("console.sign_in", "oidc:grace", "done"), ("keys.create", "oidc:grace", "done")]


async def test_who_has_no_role_is_refused_and_written_down(running: House) -> None:
    async with browser_of(running) as client:
        answer = await client.get(await come_back(client, "eve"))
        assert answer.status_code == 403
        assert "may not use this console" in answer.text
        assert (await client.get("/console/overview")).status_code == 303
    (line,) = (running.home / "audit" / "audit.jsonl").read_text().splitlines()
    assert (json.loads(line)["actor"], json.loads(line)["outcome"]) == ("oidc:eve", "refused")


async def test_a_viewer_reads_and_neither_changes_nor_asks_a_model(running: House) -> None:
    async with browser_of(running) as client:
        await client.get(await come_back(client, "sam"))
        token = re.search(r'csrf-token" content="(\w+)"', (await client.get("/console/overview")).text)
        assert token is not None
        client.headers["x-csrf-token"] = token[1]
        assert (await client.get("/admin/v1/usage")).status_code == 200
        refused = await client.post("/admin/v1/keys", json={"name": "chat"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "role_too_low")
        assert (await client.get("/v1/models")).json()["data"] == []


async def test_a_callback_that_this_browser_did_not_begin_is_refused(running: House) -> None:
    async with browser_of(running) as victim, browser_of(running) as attacker:
        back = await come_back(attacker, "grace")
        assert (await victim.get(back)).status_code == 401
        await victim.get("/console/oidc/start")
        assert (await victim.get(back)).status_code == 401
        bent = re.sub(r"(state=[0-9a-f]{64}\.)[^&]+", r"\1aHR0cHM6Ly9ldmlsLmV4YW1wbGUv", back)
        assert (await attacker.get(bent)).status_code == 401
        assert (await attacker.get(back)).status_code == 303


async def test_a_code_works_once(running: House) -> None:
    async with browser_of(running) as client:
        secret = client.cookies
        back = await come_back(client, "ada")
        kept = dict(secret)
        assert (await client.get(back)).status_code == 303
    async with browser_of(running) as thief:
        thief.cookies.update(kept)
        answer = await thief.get(back)
        assert answer.status_code == 401
        assert "refused the sign-in" in answer.text


def test_what_the_config_lacks_is_said_before_anything_starts(tmp_path: Path) -> None:
    config = DeploymentConfig.model_validate(console("https://id.example.com"))
    with pytest.raises(ConfigError, match="OIDC_SECRET is not set"):
        check_governance(config, Settings(home=tmp_path), {"ADMIN_KEY": "the-administrators-key"})


@pytest.mark.parametrize(
    ("bent", "says"),
    [
        ({"publicUrl": None}, "oidc needs publicUrl"),
        ({"oidc": {"issuer": "ftp://id"}}, "no http or https URL"),
        ({"oidc": {"scopes": ["profile"]}}, "`openid` must be among them"),
        ({"oidc": {"roles": {"claim": "groups"}}}, "nobody could sign in"),
    ],
)
def test_a_config_that_cannot_work_is_refused(bent: dict[str, Any], says: str) -> None:
    data = console("https://id.example.com")["gateway"]["console"]
    data |= {name: {**data[name], **value} if isinstance(value, dict) else value for name, value in bent.items()}
    with pytest.raises(ValueError, match=re.escape(says)):
        ConsoleConfig.model_validate(data)


async def test_a_provider_that_is_away_leaves_the_keys(tmp_path: Path) -> None:
    async with house(tmp_path, console("http://127.0.0.1:9"), SECRET) as made, browser_of(made) as client:
        answer = await client.get("/console/oidc/start")
        assert answer.status_code == 502
        assert "Sign in with a key" in answer.text
        assert (await sign_in(client)).status_code == 303


async def test_a_batch_wants_a_key_since_it_outlasts_the_session(running: House) -> None:
    async with browser_of(running) as client:
        await client.get(await come_back(client, "grace"))
        token = re.search(r'csrf-token" content="(\w+)"', (await client.get("/console/overview")).text)
        assert token is not None
        body = {"input_file_id": "file-x", "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        answer = await client.post("/v1/batches", json=body, headers={"x-csrf-token": token[1]})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "key_needed")
