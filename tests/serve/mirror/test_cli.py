import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from fixtures.models import add_artifact
from typer.testing import CliRunner

from freehold.core.errors import EnvironmentProblem, UserError
from freehold.core.store import Store
from freehold.serve.cli.mirror import app

pytestmark = pytest.mark.slow

PROGRAM = "from freehold.serve.cli.mirror import app; app()"


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "--port", "0", *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ready_url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    found = re.fullmatch(r"export HF_ENDPOINT=(http://\S+)\n", process.stdout.readline())
    assert found
    return found[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal_and_lets_a_transfer_end(home: Path, number: signal.Signals) -> None:
    content = os.urandom(40 << 20)
    add_artifact(Store(home / "freehold" / "store"), "tiny", {"model.safetensors": content})
    with start() as process:
        url = ready_url(process)
        with httpx.stream("GET", f"{url}/freehold/tiny/resolve/main/model.safetensors") as answer:
            pieces = answer.iter_raw()
            received = [next(pieces)]
            process.send_signal(number)
            received += pieces
        assert b"".join(received) == content
        _, shown = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Serving 1 artifact(s)" in shown
    assert "Traceback" not in shown


def test_the_token_comes_from_the_named_variable() -> None:
    with start("--token-env", "MIRROR_TOKEN", MIRROR_TOKEN="s3cret") as process:
        url = ready_url(process)
        assert httpx.get(f"{url}/api/models").status_code == 401
        assert httpx.get(f"{url}/api/models", headers={"Authorization": "Bearer s3cret"}).json() == []
        process.terminate()


def test_an_empty_token_variable_is_an_error() -> None:
    result = CliRunner().invoke(app, ["--token-env", "NO_SUCH_TOKEN"])
    assert isinstance(result.exception, UserError)
    assert "NO_SUCH_TOKEN is empty" in str(result.exception)


def test_a_taken_port_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(app, ["--port", str(port)])
    assert isinstance(result.exception, EnvironmentProblem)
    assert f"Cannot listen on 127.0.0.1:{port}" in str(result.exception)


def test_help_shows_examples_and_imports_no_web_framework() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert "freehold mirror --host 0.0.0.0" in result.output
    code = "import sys, freehold.serve.cli.mirror; sys.exit('aiohttp' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
