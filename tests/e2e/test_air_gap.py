"""Across the wall with everything real: a bundle of the pulled model, a namespace without a route, an answer."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from fixtures.journeys import MODEL, freehold, running
from fixtures.signing import make_key

from freehold.core.store import Store
from freehold.serve.bundle.archive import Archive

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(1800)]

INSIDE = """
import json, os, socket, subprocess, sys, urllib.request

bundle, key, port = sys.argv[1:]
freehold = [sys.executable, "-m", "freehold.core.cli"]
for address in ("192.0.2.1", "1.1.1.1"):
    try:
        socket.create_connection((address, 443), timeout=5)
        sys.exit(f"{address} can be reached: this is no air gap")
    except OSError as error:
        print("no route:", error, flush=True)
subprocess.run([*freehold, "bundle", "install", bundle, "--trust-key", key], check=True)
folder = os.path.join(os.environ["FREEHOLD_HOME"], "bundles", "site")
serving = subprocess.Popen([*freehold, "serve", "freehold.yaml", "--offline", "--port", port], cwd=folder,
    stderr=subprocess.PIPE, text=True)
for line in serving.stderr:
    print(line, end="", flush=True)
    if line.startswith("Ready after"):
        break
else:
    sys.exit(f"serve ended with {serving.wait()}")
body = {"model": "assistant", "temperature": 0, "max_tokens": 20,
    "messages": [{"role": "user", "content": "What is the capital of France?"}]}
request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/chat/completions", json.dumps(body).encode(),
    {"Content-Type": "application/json"})
with urllib.request.urlopen(request, timeout=120) as answer:
    print("ANSWER:", json.load(answer)["choices"][0]["message"]["content"], flush=True)
serving.terminate()
print(serving.stderr.read(), end="")
print("ended with", serving.wait(), flush=True)
"""


def _closed_off() -> list[str]:
    """A command in front of another that runs it in a network namespace of its own, with a loopback and no route."""
    command = ["unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("a network namespace needs `unshare` and `ip`")
    tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"network namespaces are not permitted here: {tried.stderr.strip()}")
    return command


@pytest.fixture(scope="module")
def parts(pulled_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a signed bundle in parts, and the public key."""
    folder = tmp_path_factory.mktemp("outside")
    key = make_key(folder)
    config = {
        "models": {"assistant": {"artifact": MODEL, "engine": {"maxModelLen": 1024}}},
        "policy": "policy.yaml",
    }
    (folder / "policy.yaml").write_text(f"signatures: {{keys: [{key.public.name}]}}\n")
    (folder / "freehold.yaml").write_text(yaml.safe_dump(config))
    command = freehold("bundle", "create", "freehold.yaml", "-o", "site.tar.zst", "--key", str(key.private))
    ended = subprocess.run(
        [*command, "--no-wheels", "--no-images", "--part-size", "64MiB"],
        cwd=folder,
        env={**os.environ, "FREEHOLD_HOME": str(pulled_home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return folder


@pytest.fixture
def inside(parts: Path, tmp_path: Path) -> dict[str, str]:
    home = tmp_path / "inside"
    return {"FREEHOLD_HOME": str(home)}


def test_without_a_route_the_bundle_is_installed_proven_and_answers(parts: Path, inside: dict[str, str]) -> None:
    with running(
        *_closed_off(),
        sys.executable,
        "-c",
        INSIDE,
        str(parts / "site.tar.zst.000"),
        str(parts / "site.pub"),
        "18080",
        env=inside,
    ) as closed:
        closed.until("ended with 0")
    assert "no route: [Errno 101] Network is unreachable" in closed.text
    assert "Verifying " in closed.text
    assert "golden probe" in closed.text
    assert "Paris" in next(line for line in closed.lines if line.startswith("ANSWER:"))


def test_a_shard_that_changes_after_the_install_is_not_loaded(parts: Path, inside: dict[str, str]) -> None:
    install = freehold("bundle", "install", str(parts / "site.tar.zst"), "--trust-key", str(parts / "site.pub"))
    subprocess.run(install, env={**os.environ, **inside}, check=True, capture_output=True)
    home = Path(inside["FREEHOLD_HOME"])
    (artifact,) = Store(home / "store").artifacts()
    weights = artifact.path / "model.safetensors"
    with weights.open("r+b") as stream:
        stream.seek(-1000, os.SEEK_END)
        byte = stream.read(1)
        stream.seek(-1000, os.SEEK_END)
        stream.write(bytes([byte[0] ^ 1]))
    serve = freehold("serve", str(home / "bundles" / "site" / "freehold.yaml"), "--offline", "--port", "0")
    ended = subprocess.run(
        serve, env={**os.environ, **inside}, capture_output=True, text=True, check=False, timeout=300
    )
    assert ended.returncode == 2, ended.stderr
    assert "model.safetensors: sha256" in ended.stderr and "cannot be served" in ended.stderr
    assert "loading weights" not in ended.stderr


def test_the_archive_is_not_larger_than_what_is_in_it(parts: Path, pulled_home: Path) -> None:
    with Archive(parts / "site.tar.zst") as archive:
        assert archive.size_bytes < Store(pulled_home / "store").get(MODEL).size_bytes
