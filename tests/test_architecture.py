"""The walls of the house: namespace packages, one direction of imports, a light command line."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("core", "serve", "finetune", "quantize", "evaluate")
VERBS = tuple(room for room in ROOMS if room != "core")


@pytest.mark.parametrize("room", ROOMS)
def test_nothing_lies_directly_in_the_namespace_folder(room: str) -> None:
    # An __init__.py there breaks every other room's imports while mypy still passes.
    found = [path.name for path in (ROOT / room / "freehold").iterdir() if path.name != "__pycache__"]
    assert found == [room]


def _imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_one_way(room: str) -> None:
    forbidden = tuple(f"freehold.{other}" for other in VERBS if other != room)
    crossing = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / room).rglob("*.py")
        for name in _imports(path)
        if name.startswith(forbidden)
    }
    assert crossing == set()


INSIDE = {"cpu_lora.py", "cpu_seed.py", "engine_answers.py", "driver.py"}
"""Run inside the engine: by the entry-point group `vllm.general_plugins`, and as scripts of the engine's Python."""


@pytest.mark.parametrize("room", ROOMS)
def test_the_toolkit_never_imports_the_engine(room: str) -> None:
    importing = [path for path in (ROOT / room).rglob("*.py") if any(n.split(".")[0] == "vllm" for n in _imports(path))]
    assert [path.name for path in importing if path.name not in INSIDE] == []


def test_serving_imports_ray_in_the_engine_environment_alone() -> None:
    importing = {
        path.parent.name
        for path in (ROOT / "serve").rglob("*.py")
        if any(name.split(".")[0] == "ray" for name in _imports(path))
    }
    assert importing == {"standalone"}


def test_every_room_is_typed() -> None:
    assert all((ROOT / room / "freehold" / room / "py.typed").is_file() for room in ROOMS)


HEAVY = ("torch", "transformers", "fastapi", "aiohttp", "vllm", "ray", "peft", "huggingface_hub", "openai")

HELP_PROBE = """
import sys
from freehold.core.cli.main import build_app
app = build_app()
assert len(app.registered_commands) + len(app.registered_groups) >= 5, "verbs are not registered"
print(*[name for name in sys.argv[1:] if name in sys.modules])
"""


def test_building_the_command_line_imports_nothing_heavy() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", HELP_PROBE, *HEAVY], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stdout.split(), ended.stderr) == (0, [], "")
