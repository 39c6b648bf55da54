"""Code of models: judged by its tests, and shut in."""

import asyncio
import shutil
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
from fixtures.evaluating import score_of, scorer_of

from freehold.evaluate.scorers.sandbox import running
from freehold.evaluate.scorers.sandbox.running import Limits, obstacle, run

WHY_NOT = obstacle("namespaces")
shut_in = pytest.mark.skipif(bool(WHY_NOT), reason=f"no namespaces here: {WHY_NOT}")
KINDS = [pytest.param("namespaces", marks=shut_in), "process"]
TESTS = "assert add(2, 3) == 5\nassert add(-1, 1) == 0"
LIMITS = Limits(wall_s=30, memory_bytes=2**29)

ANSWERS = [
    ("def add(a, b):\n    return a + b", 1, "passes the tests"),
    ("Here it is:\n```python\ndef add(a, b):\n    return a + b\n```\nIt adds.", 1, "passes the tests"),
    ("```python\ndef add(a, b):\n    return a - b\n```", 0, "AssertionError"),
    ("def add(a, b): return", 0, "AssertionError"),
    ("def subtract(a, b): ...", 0, "NameError: name 'add' is not defined"),
    ("I cannot do that.", 0, "SyntaxError"),
    # Ends before the tests, with the status of success.
    ("import sys\ndef add(a, b): sys.exit(0)", 0, "before the tests were through"),
    ("import os\nprint('passes the tests')\nos._exit(0)", 0, "before the tests were through"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("answer", "value", "why"), ANSWERS)
async def test_code_is_right_if_it_passes_its_tests(kind: str, answer: str, value: float, why: str) -> None:
    score = await score_of(scorer_of("code", sandbox=kind), TESTS, answer)
    assert score.value == value
    assert why in score.why


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
async def test_code_without_end_is_ended(kind: str) -> None:
    score = await score_of(scorer_of("code", sandbox=kind, wallS=1), "add()", "def add():\n    while True: pass")
    assert (score.value, score.why) == (0, "it ran for more than 1 s")


@pytest.mark.parametrize("kind", KINDS)
async def test_memory_is_limited(kind: Any) -> None:
    ended = await run("x = bytearray(2**30)", LIMITS, kind)
    assert "MemoryError" in ended.errors


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_printed_without_end_is_limited(kind: Any) -> None:
    ended = await run("while True: print('a' * 100_000)", LIMITS, kind)
    assert ended.status != 0
    assert len(ended.output) <= running.MOST_OUTPUT


@pytest.mark.parametrize("kind", KINDS)
async def test_the_environment_with_its_secrets_stays_outside(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    ended = await run("import os; print(sorted(os.environ))", LIMITS, kind)
    assert ended.status == 0
    assert "OPENAI_API_KEY" not in ended.output


@pytest.mark.parametrize("kind", KINDS)
async def test_no_process_is_left(kind: Any) -> None:
    program = "import os, time\nif os.fork() == 0:\n    time.sleep(601)\nprint('parent ends')"
    ended = await run(program, LIMITS, kind)
    assert "parent ends" in ended.output
    for _ in range(300):
        left = [p for p in psutil.process_iter(["cmdline"]) if "program.py" in (p.info["cmdline"] or [])]
        if not left:
            return
        await asyncio.sleep(0.1)
    pytest.fail(f"left: {left}")


@shut_in
async def test_the_network_cannot_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        ended = await run(f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)", LIMITS)
        assert "Network is unreachable" in ended.errors
        # The planted opposite: without namespaces it gets through, so the test can fail.
        through = await run(f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)", LIMITS, "process")
        assert through.status == 0, through.errors


@shut_in
async def test_files_of_the_machine_are_not_there(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret")
    program = f"print(open({str(secret)!r}).read())"
    assert "FileNotFoundError" in (await run(program, LIMITS)).errors
    assert "the secret" in (await run(program, LIMITS, "process")).output


@shut_in
@pytest.mark.parametrize("path", ["/usr/planted", "/planted", sys.executable])
async def test_nothing_can_be_written_but_its_own_folder(path: str) -> None:
    ended = await run(f"open('own', 'w').write('x')\nopen({path!r}, 'a')", LIMITS)
    assert "line 2" in ended.errors
    assert ended.status != 0
    assert not Path("/usr/planted").exists()


@shut_in
async def test_it_has_no_rights_and_gets_none() -> None:
    program = (
        "import ctypes, os\nlibc = ctypes.CDLL(None)\n"
        "print(libc.mount(b'none', b'/', None, 32 | 4096, None), libc.unshare(0x10000000), libc.sethostname(b'x', 1))"
    )
    assert (await run(program, LIMITS)).output.split() == ["-1", "-1", "-1"]


@shut_in
async def test_other_processes_cannot_be_seen_or_ended() -> None:
    child = threading.get_native_id()
    ended = await run(f"import os\nprint(os.getpid())\nos.kill({child}, 0)", LIMITS)
    assert ended.output.split() == ["1"]
    assert "ProcessLookupError" in ended.errors


def test_without_namespaces_code_is_refused_unless_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    obstacle.cache_clear()
    try:
        assert "unshare" in scorer_of("code").obstacle()
        assert "sandbox: process" in scorer_of("code").obstacle()
        assert scorer_of("code", sandbox="process").obstacle() == ""
    finally:
        obstacle.cache_clear()
