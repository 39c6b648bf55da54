"""A session and the overview over several processes of one gateway: real processes, any of which may answer."""

import asyncio
import re
from pathlib import Path

import aiohttp
import pytest
import yaml
from fixtures.console import ADMIN_KEY, answer_as_vllm
from fixtures.journeys import freehold, running
from fixtures.stub_engine import Call, StubEngine

pytestmark = pytest.mark.slow
LIMIT_S = 60.0


async def answer(call: Call) -> None:
    if call.target == "/v1/models":
        await call.reply(b'{"data": [{"id": "tiny", "max_model_len": 100}]}')
    else:
        await answer_as_vllm(call)


async def test_a_session_holds_in_every_worker_and_the_overview_counts_them_together(home: Path) -> None:
    async with StubEngine("tiny", answer).listening() as engine:
        gateway = {"port": 0, "adminKeyFrom": {"env": "ADMIN_KEY"}, "console": {"secureCookies": False}}
        models = {"tiny": {"engine": {"kind": "remote", "baseUrl": engine.base_url, "leaves": False}}}
        config = home / "freehold.yaml"
        config.write_text(yaml.safe_dump({"models": models, "gateway": gateway}))
        command = freehold("serve", str(config), "--workers", "3")
        with running(*command, env={"ADMIN_KEY": ADMIN_KEY}) as process:
            url = (await asyncio.to_thread(process.until, r"Ready after .* at (\S+)/v1", LIMIT_S))[1]
            cookies: dict[str, str] = {}

            async def ask(method: str, path: str, **more: object) -> tuple[int, str]:
                """On a connection of its own, so that any worker may get it."""
                jar = aiohttp.CookieJar(unsafe=True)
                jar.update_cookies(cookies)
                async with (
                    aiohttp.ClientSession(cookie_jar=jar) as session,
                    session.request(method, f"{url}{path}", allow_redirects=False, **more) as answered,  # type: ignore[arg-type]
                ):
                    cookies.update({name: morsel.value for name, morsel in answered.cookies.items() if morsel.value})
                    return answered.status, await answered.text()

            _, form = await ask("GET", "/console/sign-in")
            fields = dict(re.findall(r'name="(csrf|to)" value="([^"]*)"', form))
            assert (await ask("POST", "/console/sign-in", data={**fields, "key": ADMIN_KEY}))[0] == 303
            pages = [await ask("GET", "/console/overview") for _ in range(12)]
            assert {status for status, _ in pages} == {200}
            token = re.search(r'csrf-token" content="(\w+)"', pages[0][1])
            assert token is not None
            for _ in range(9):
                assert (await ask("POST", "/v1/chat/completions", json={"model": "tiny"}))[0] == 200
            known = 0
            async with asyncio.timeout(LIMIT_S):
                while known < 12:  # in a row: a worker that missed one reading knows the figure some seconds later
                    status, text = await ask("GET", "/admin/v1/overview", headers={"x-csrf-token": token[1]})
                    assert status == 200
                    known = known + 1 if '"kv_usage":0.375' in text.replace(" ", "") else 0
            assert (await ask("POST", "/console/sign-out", data={"csrf": token[1]}))[0] == 303
            await asyncio.sleep(2.5)  # what another worker may still know of the session
            assert {(await ask("GET", "/console/overview"))[0] for _ in range(12)} == {303}
