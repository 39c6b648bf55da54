"""A tool is a child: its layers are counted, its complaint is told, and nothing of it is left."""

import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from fixtures.journeys import all_gone

from freehold.core.errors import EnvironmentProblem
from freehold.quantize.tools import standalone
from freehold.quantize.tools.order import Order
from freehold.quantize.tools.running import ToolFailed, run_tool

pytestmark = pytest.mark.slow

HEAD = "import json, os, sys, time; order = json.load(open(sys.argv[1])); tell = order['report_to'];"


@pytest.fixture
def order(tmp_path: Path) -> Order:
    return Order(
        model=tmp_path / "model",
        model_class="AutoModelForCausalLM",
        output=tmp_path / "output",
        state=tmp_path / "state",
        scheme={},
        group_size=None,
        keep=(),
        calibration=None,
        seed=0,
        device="cpu",
        dtype="float32",
    )


def tool(code: str) -> list[str]:
    return [sys.executable, "-c", HEAD + code]


def test_it_gets_the_order_and_its_layers_are_counted(
    order: Order, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("freehold.core.counter.PLAIN_INTERVAL_S", 0)
    says = "[os.write(tell, json.dumps({'layer': n, 'layers': 3}).encode() + b'\\n') for n in range(4)]"
    run_tool(tool(says), order)
    assert "  3 of 3 layers" in capsys.readouterr().err
    assert json.loads((order.state / "order.json").read_text())["output"] == str(order.output)


def test_its_peak_is_its_own_however_much_we_hold(order: Order) -> None:
    here = str(Path(standalone.__path__[0]))
    tells = f"sys.path.append({here!r}); from peak import tell_peak; much = b'x' * (100 << 20); tell_peak(tell)"
    held = b"x" * (400 << 20)
    used = run_tool(tool(tells), order)
    assert used.peak_bytes is not None
    assert 100 << 20 < used.peak_bytes < 200 << 20 < len(held)


def test_what_it_said_last_is_in_the_error(order: Order) -> None:
    with pytest.raises(ToolFailed, match="did not quantize the model: it said\n.*the layers are odd") as error:
        run_tool(tool("sys.exit('the layers are odd')"), order)
    assert error.value.next_step == f"All it said: {order.state / 'tool.log'}"


def test_a_lack_of_memory_is_told_with_what_to_change(order: Order) -> None:
    with pytest.raises(EnvironmentProblem, match="memory is not enough.*CUDA out of memory") as error:
        run_tool(tool("sys.exit('torch.OutOfMemoryError: CUDA out of memory')"), order)
    assert "--samples 32" in error.value.next_step
    with pytest.raises(EnvironmentProblem, match="memory is not enough.*the tool was killed"):
        run_tool(tool("os.kill(os.getpid(), 9)"), order)


def test_what_it_started_ends_with_it(order: Order) -> None:
    starts = "import subprocess; p = subprocess.Popen(['sleep', '1000']);"
    run_tool(tool(f"{starts} open(order['state'] + '/pid', 'w').write(str(p.pid))"), order)
    child = int((order.state / "pid").read_text())
    with suppress(psutil.NoSuchProcess):  # gone already
        assert all_gone([psutil.Process(child)])


def test_it_ends_with_who_started_it(order: Order) -> None:
    started = os.fork()
    if not started:
        try:
            run_tool(tool("open(order['state'] + '/pid', 'w').write(str(os.getpid())); time.sleep(1000)"), order)
        finally:
            os._exit(1)
    pid = order.state / "pid"
    deadline = time.monotonic() + 30
    while not (pid.exists() and pid.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(started, signal.SIGKILL)
    os.waitpid(started, 0)
    while psutil.pid_exists(int(pid.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.05)
