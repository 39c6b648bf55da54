"""What a gateway alone refuses before it listens, and how it finds addresses."""

import socket
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from freehold.core.errors import ConfigError, FreeholdError, UserError
from freehold.core.settings import Settings
from freehold.serve.cli.gateway import app
from freehold.serve.cluster.engines_file import load_engines
from freehold.serve.cluster.fronting import Places, check_front
from freehold.serve.config import parse_config
from freehold.serve.engines.service import resolve

MODELS: dict[str, Any] = {
    "tiny": {"artifact": "tiny", "adapters": {"support": {"artifact": "support"}}},
    "far": {"engine": {"kind": "remote", "baseUrl": "http://127.0.0.1:9"}},
}
PLACE = {"service": "tiny.test.svc"}


def _config(**keys: Any) -> Any:
    return parse_config({"models": MODELS, **keys}, "The test")


def _problems(tmp_path: Path, content: Any) -> list[str]:
    path = tmp_path / "engines.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError) as error:
        load_engines(path, _config())
    return error.value.problems


def test_the_charts_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "engines.yaml"
    place = {**PLACE, "port": 8000, "attendantPort": 8001, "holdS": 900}
    path.write_text(yaml.safe_dump({"engines": {"tiny": place}}))
    file = load_engines(path, _config())
    assert (file.engines["tiny"].hold_s, file.engines["tiny"].max_held) == (900, 1024)
    places = Places(_config(), file)
    assert list(places.engines) == ["tiny", "support", "far"], "configured adapters are known before any replica is"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({}, "engines: field required"),
        ({"engines": {}}, "engines.tiny: missing"),
        ({"engines": {"tiny": {}}}, "engines.tiny.service: field required"),
        ({"engines": {"tiny": {**PLACE, "holdSeconds": 1}}}, "engines.tiny.holdSeconds: unknown key"),
        ({"engines": {"tiny": {**PLACE, "port": 0}}}, "engines.tiny.port: "),
        ({"engines": {"tiny": PLACE, "far": PLACE}}, "engines.far: the deployment has it as a remote engine"),
        ({"engines": {"tiny": PLACE, "other": PLACE}}, "engines.other: the deployment has no such model"),
    ],
)
def test_a_file_that_does_not_fit_is_told_with_its_path(tmp_path: Path, content: Any, told: str) -> None:
    (problem,) = _problems(tmp_path, content)
    assert problem.startswith(told)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"gateway": {"workers": 2}}, "one process, and 2 workers were asked for"),
        ({"tuning": {"models": ["tiny"], "serve": False}}, "runs no fine-tuning"),
        ({"gateway": {"database": "${NOT_SET_ANYWHERE}"}}, "NOT_SET_ANYWHERE is not set"),
    ],
)
def test_what_a_gateway_alone_does_not_do_is_refused(tmp_path: Path, keys: dict[str, Any], told: str) -> None:
    with pytest.raises(FreeholdError, match=told):
        check_front(_config(**keys), Settings(home=tmp_path))


def test_the_command_says_so_too(tmp_path: Path) -> None:
    (tmp_path / "freehold.yaml").write_text(yaml.safe_dump({"models": MODELS}))
    (tmp_path / "engines.yaml").write_text(yaml.safe_dump({"engines": {"tiny": PLACE}}))
    given = ["--config", str(tmp_path / "freehold.yaml"), "--engines", str(tmp_path / "engines.yaml")]
    ended = CliRunner().invoke(app, [*given, "--workers", "3"])
    assert isinstance(ended.exception, UserError) and "Run more replicas" in ended.exception.next_step


async def test_addresses_of_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(*entries: tuple[int, str]) -> list[str] | None:
        async def getaddrinfo(*_: Any, **__: Any) -> Any:
            return [(family, 1, 6, "", (address, 0)) for family, address in entries]

        monkeypatch.setattr("asyncio.get_running_loop", lambda: type("Loop", (), {"getaddrinfo": getaddrinfo})())
        try:
            return await resolve("host")
        finally:
            monkeypatch.undo()

    four, six = socket.AF_INET, socket.AF_INET6
    assert await answer((four, "10.0.0.2"), (four, "10.0.0.1"), (four, "10.0.0.2")) == ["10.0.0.1", "10.0.0.2"]
    assert await answer((six, "fd00::1"), (four, "10.0.0.1")) == ["10.0.0.1"], "a pod with both counts once"
    assert await answer((six, "fd00::1")) == ["fd00::1"]


@pytest.mark.parametrize(("number", "found"), [(socket.EAI_NONAME, []), (socket.EAI_AGAIN, None)])
async def test_a_host_that_is_not_there_is_no_trouble_with_dns(
    monkeypatch: pytest.MonkeyPatch, number: int, found: list[str] | None
) -> None:
    async def getaddrinfo(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(number, "planted")

    monkeypatch.setattr("asyncio.get_running_loop", lambda: type("Loop", (), {"getaddrinfo": getaddrinfo})())
    answer = await resolve("host")
    monkeypatch.undo()
    assert answer == found
