"""An engine's pod with a stand-in for vLLM (tests/fixtures/stub_vllm); the real one: tests/e2e."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from fixtures.adapters import add_base
from fixtures.ports import free_port
from fixtures.replicas import Replicas

from freehold.core.store import Artifact, Store
from freehold.serve.cluster import attending as attendance
from freehold.serve.cluster.attending import Attendant
from freehold.serve.cluster.preparing import Preparation, prepare
from freehold.serve.config import DeploymentConfig, parse_config
from freehold.serve.engines import attached, service
from freehold.serve.engines.vllm import API_SERVER
from freehold.serve.gateway import new_event_loop


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that the gateway runs on in production."""
    return {"uvloop": new_event_loop}


STUB = Path(__file__).parents[2] / "fixtures" / "stub_vllm"
LIMIT_S = 60


class Pod:
    """One engine's containers, as the kubelet would run them."""

    def __init__(self, folder: Path, store: Store, config: DeploymentConfig) -> None:
        self.folder, self.store, self.config = folder, store, config
        self.lives = folder / "lives"
        self.file = folder / "run" / "engine.yaml"
        self.reports: list[str] = []
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.fault = ""
        self._process: asyncio.subprocess.Process | None = None

    def prepare(self, **more: Any) -> tuple[Path, Path]:
        todo = Preparation("0.32.0", self.file, port=self.port, has_gpu=False, **more)
        return prepare(self.config, "alpha", self.store, todo, self.reports.append)

    async def start_engine(self) -> None:
        run = f". {self.file.with_suffix('.env')}; exec {sys.executable} -m {API_SERVER} --config {self.file}"
        env = {**os.environ, "PYTHONPATH": str(STUB), "STUB_LIVES": str(self.lives), "STUB_FAULT": self.fault}
        self._process = await asyncio.create_subprocess_exec(
            "/bin/sh", "-ec", run, env=env, stdout=asyncio.subprocess.DEVNULL, start_new_session=True
        )

    async def end_engine(self) -> None:
        if self._process is not None and self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()

    @asynccontextmanager
    async def attended(self, **more: Any) -> AsyncIterator["Told"]:
        """An attendant, and its pages."""
        async with (
            attendance.attending(
                self.config, "alpha", self.store, self.base_url, report=self.reports.append, **more
            ) as attendant,
            TestServer(attendant.pages()) as server,
            aiohttp.ClientSession(str(server.make_url("/"))) as session,
        ):
            yield Told(attendant, session)

    @property
    def acts(self) -> list[str]:
        """What the engine was told to load and unload, in all its lives."""
        path = self.lives.with_suffix(".adapters")
        return path.read_text().splitlines() if path.is_file() else []


class Told:
    """An attendant and what it tells."""

    def __init__(self, attendant: Attendant, session: aiohttp.ClientSession) -> None:
        self.attendant = attendant
        self._session = session

    async def ask(self, path: str) -> tuple[int, Any]:
        async with self._session.get(path) as answer:
            return answer.status, await answer.json()

    async def until(self, claim: Callable[[int, Any], bool], path: str = "/ready") -> Any:
        """The page, as soon as it is as claimed."""
        async with asyncio.timeout(LIMIT_S):
            while not claim(*(answer := await self.ask(path))):
                await asyncio.sleep(0.02)
        return answer[1]

    async def until_ready(self) -> None:
        await self.until(lambda status, _: status == 200)

    async def until_told(self, words: str) -> str:
        """The reason why it is not ready, as soon as it has these words."""
        return str((await self.until(lambda status, body: status == 503 and words in body["reason"]))["reason"])


@pytest.fixture
def base(store: Store) -> Artifact:
    return add_base(store)


MakePod = Callable[..., Pod]


@pytest.fixture
async def make_pod(
    tmp_path: Path, store: Store, base: Artifact, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[MakePod]:
    """A pod of `alpha`; keywords are fields of the model, `gateway` and `engine` of theirs."""
    monkeypatch.setattr(attached, "POLL_S", 0.05)
    monkeypatch.setattr(attached, "RETRY_S", 0.1)
    made: list[Pod] = []

    def make(engine: dict[str, Any] | None = None, gateway: dict[str, Any] | None = None, **model: Any) -> Pod:
        served = {"artifact": "alpha", "engine": engine or {}, **model}
        config = parse_config({"models": {"alpha": served}, "gateway": gateway or {}}, "The test")
        made.append(Pod(tmp_path, store, config))
        return made[-1]

    yield make
    for pod in made:
        await pod.end_engine()


@pytest.fixture
async def replicas(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Replicas]:
    """No pods yet; a gateway looks at them many times a second."""
    monkeypatch.setattr(service, "LOOK_S", 0.02)
    monkeypatch.setattr(service, "STATUS_TIMEOUT_S", 30.0)
    async with AsyncExitStack() as stack:
        yield Replicas(stack)
