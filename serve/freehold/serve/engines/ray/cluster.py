"""This machine's node of a Ray cluster: brought up, looked at, taken down.

`ray stop` would end every Ray process of the machine. Ours bear a mark in their environment, and only those are ended,
with whatever they started.
"""

import json
import os
import secrets
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import psutil

from freehold.core.errors import EnvironmentProblem, UserError
from freehold.core.settings import Settings
from freehold.core.store.atomic import write_atomically

MARK = "FREEHOLD_RAY_NODE"
START_TIMEOUT_S = 300
STATUS = Path(__file__).parent / "standalone" / "status.py"
STATUS_TIMEOUT_S = 120
GRACE_S = 10.0
"""For Ray's own processes, between SIGTERM and SIGKILL."""


class Node(msgspec.Struct, frozen=True):
    """What this machine runs of a cluster."""

    address: str
    """`host:port` of the head."""
    is_head: bool
    python: str
    mark: str


def up(
    settings: Settings,
    python: Path,
    *,
    address: str | None = None,
    host: str | None = None,
    port: int = 6379,
    cpus: int | None = None,
    gpus: int | None = None,
    resources: Mapping[str, float] | None = None,
    token_file: Path | None = None,
) -> Node:
    """Start a head, or with an `address` a further node. Raises UserError if one is up, EnvironmentProblem from Ray."""
    if known := read_node(settings):
        raise UserError(
            f"This machine is already a node of {known.address}",
            next_step="Use it, or take it down with `freehold ray down`.",
        )
    _take_token(settings, token_file, makes_one=address is None)
    if address is None and port == 0:
        port = _free_port()
    command = [str(python), "-m", "ray.scripts.scripts", "start", "--disable-usage-stats", "--log-color=false"]
    if address is None:
        command += ["--head", f"--port={port}", "--include-dashboard=false", f"--ray-client-server-port={_free_port()}"]
    else:
        command += [f"--address={address}"]
    command += ["--dashboard-agent-listen-port=0"]  # the fixed one would keep a second node off the machine
    command += [f"--node-ip-address={host}"] if host else []
    command += [f"--num-cpus={cpus}"] if cpus is not None else []
    command += [f"--num-gpus={gpus}"] if gpus is not None else []
    command += [f"--resources={json.dumps(dict(resources))}"] if resources else []
    mark = secrets.token_hex(8)
    env = cluster_environment(settings) | {MARK: mark, "RAY_process_group_cleanup_enabled": "1"}
    try:
        ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=START_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        _end_marked(mark)
        raise _not_started(f"it did not come up in {START_TIMEOUT_S} s") from error
    if ended.returncode != 0:
        _end_marked(mark)
        raise _not_started(ended.stdout + ended.stderr)
    found = address or f"{host or _told_address(ended.stdout + ended.stderr)}:{port}"
    node = Node(found, address is None, str(python), mark)
    write_atomically(_record(settings), msgspec.json.encode(node))
    return node


def down(settings: Settings) -> tuple[Node | None, int]:
    """End this machine's node; returns what it was, and how many processes were ended."""
    path = _record(settings)
    if not path.is_file():
        return None, 0
    node = msgspec.json.decode(path.read_bytes(), type=Node)
    ended = _end_marked(node.mark)
    path.unlink()
    token_path(settings).unlink(missing_ok=True)  # another cluster's may be none, or come by Ray's own variables
    return node, ended


def read_node(settings: Settings) -> Node | None:
    """The node that is up, as far as its processes still run."""
    path = _record(settings)
    if not path.is_file():
        return None
    node = msgspec.json.decode(path.read_bytes(), type=Node)
    return node if _marked(node.mark) else None


def status(settings: Settings, python: Path, address: str | None = None) -> dict[str, Any]:
    """The cluster's nodes and Freehold's applications on it. Raises EnvironmentProblem if it cannot be asked."""
    asked = cluster_address(settings, address or "auto")
    command = [str(python), str(STATUS), asked]
    try:
        ended = subprocess.run(
            command, env=cluster_environment(settings), capture_output=True, text=True, timeout=STATUS_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise _unreachable(asked, f"it did not answer in {STATUS_TIMEOUT_S} s") from error
    if ended.returncode != 0:
        raise _unreachable(asked, _last_line(ended.stderr))
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def cluster_address(settings: Settings, configured: str) -> str:
    """Where Ray finds the cluster: for `auto` that of our own node, if there is one."""
    node = read_node(settings) if configured == "auto" else None
    return node.address if node else configured


def cluster_environment(settings: Settings, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables of whatever talks to Ray here: its token, no report to its makers, no colour in logs."""
    ours = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_COLOR_PREFIX": "0", "PYTHONUNBUFFERED": "1"}
    token = token_path(settings)
    if token.is_file():
        ours |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    return {**environ, **ours}


def token_path(settings: Settings) -> Path:
    """The secret of the cluster that this machine was made a node of, as long as it is one."""
    return _folder(settings) / "token"


def _take_token(settings: Settings, given: Path | None, *, makes_one: bool) -> None:
    path = token_path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if given is None and not makes_one:
        return
    if given is not None and not given.is_file():
        raise UserError(f"There is no token file {given}", next_step="Copy it from the head: `freehold ray status`.")
    text = given.read_text().strip() if given is not None else secrets.token_hex(32)
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(text)


def _record(settings: Settings) -> Path:
    return _folder(settings) / "node.json"


def _folder(settings: Settings) -> Path:
    """This machine's own: the nodes of a cluster may share the data folder."""
    return settings.run_root / "ray" / socket.gethostname()


def _marked(mark: str) -> list[psutil.Process]:
    """Processes that bear the mark. Workers overwrite their environment with a title: they are found as children."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for process in psutil.process_iter():
        try:
            if wanted in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0"):
                found.append(process)
        except OSError:
            continue
    return found


def _end_marked(mark: str) -> int:
    """End them with their children and children's children; returns how many there were."""
    families = {process: _descendants(process) for process in _marked(mark)}
    everyone = {*families, *(child for children in families.values() for child in children)}
    for process in families:
        _signal(process, is_final=False)
    _, left = psutil.wait_procs(list(everyone), timeout=GRACE_S)
    for process in left:
        _signal(process, is_final=True)
    psutil.wait_procs(left, timeout=GRACE_S)
    return len(everyone)


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def _signal(process: psutil.Process, *, is_final: bool) -> None:
    try:
        process.kill() if is_final else process.terminate()
    except psutil.NoSuchProcess:
        return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def _told_address(output: str) -> str:
    marker = "Local node IP: "
    line = next((line for line in output.splitlines() if marker in line), "")
    return line.partition(marker)[2].strip()


def _not_started(output: str) -> EnvironmentProblem:
    if "No module named 'ray'" in output or "No module named ray" in output:
        return EnvironmentProblem(
            "Ray is not installed in the engine environment",
            why="`ray start` is not there",
            next_step="Install `ray[serve]` there (not `ray[llm]`), or name another with --engine.",
        )
    return EnvironmentProblem(
        "The Ray node did not start",
        why=_last_line(output),
        next_step="See which of its ports are taken (--port), and that the head of --address answers.",
    )


def _unreachable(address: str, why: str) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"No Ray cluster answers at {address}",
        why=why,
        next_step="Start one with `freehold ray up`, or join one with `freehold ray up --address HOST:PORT`.",
    )


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"
