"""kill -9 in the middle: the same command again goes on, and what comes of it is whole."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from fixtures.bundles import Inside, Outside
from fixtures.models import read_files

from freehold.serve.bundle.opening import open_bundle, verify_bundle

CHILD = """
import os, signal, sys
from freehold.core import progress
from freehold.serve.bundle import archive
from freehold.serve.bundle.archive import reading, writing

# Small steps, so that a small bundle has many of them.
writing.CHECKPOINT_BYTES = 1
writing.FRAME_BYTES = reading.READ_BYTES = 20_000
writing.ArchiveWriter.__init__.__kwdefaults__["piece_bytes"] = 20_000
label, steps = sys.argv[1], int(sys.argv[2])
seen = 0

class Fatal(progress.ByteBar):
    def advance(self, count):
        global seen
        super().advance(count)
        seen += label in self._label and count > 0
        if seen == steps:
            os.kill(os.getpid(), signal.SIGKILL)

from freehold.serve.bundle import creating, installing
creating.ByteBar = installing.ByteBar = Fatal
from freehold.serve.cli.bundle import app
app(sys.argv[3:], standalone_mode=False)
"""


def run(arguments: Sequence[str], home: Path, label: str = "", steps: int = -1) -> "subprocess.CompletedProcess[str]":
    """The command; killed by its own hand in that step of that progress bar."""
    command = [sys.executable, "-c", CHILD, label, str(steps), *arguments]
    return subprocess.run(
        command,
        env=os.environ | {"FREEHOLD_HOME": str(home)},
        cwd=home.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def create_arguments(outside: Outside) -> list[str]:
    folder = outside.folder
    return [
        "create",
        str(outside.config),
        "-o",
        str(folder / "site.tar.zst"),
        "--key",
        str(outside.key.private),
        "--wheels",
        str(folder / "wheels"),
        "--part-size",
        "100000B",
    ]


def already(said: str) -> list[str]:
    return re.findall(r"^(Writing|Installing) (\S+): .*?, (\S+ \S+) already here$", said, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [3, 20])
def test_create(outside: Outside, inside: Inside, steps: int) -> None:
    home = outside.settings.home
    killed = run(create_arguments(outside), home, "Writing", steps)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not list(outside.folder.glob("site.tar.zst.00?")), "parts get their names when all are whole"
    again = run(create_arguments(outside), home)
    assert again.returncode == 0, again.stderr
    assert already(again.stderr), again.stderr
    with open_bundle(outside.folder / "site.tar.zst.000") as bundle:
        assert verify_bundle(bundle, lambda count: None) == []
    inside.install(outside.folder / "site.tar.zst.000")
    assert not list(outside.folder.glob(".site*"))


@pytest.mark.slow
def test_create_begins_anew_when_what_it_is_made_of_has_changed(outside: Outside, inside: Inside) -> None:
    home = outside.settings.home
    assert run(create_arguments(outside), home, "Writing", 20).returncode == -signal.SIGKILL
    outside.config.write_text(outside.config.read_text() + "# changed\n")
    again = run(create_arguments(outside), home)
    assert again.returncode == 0 and "has changed since the last attempt" in again.stderr
    assert not already(again.stderr)
    inside.install(outside.folder / "site.tar.zst.000")
    assert (inside.site / "freehold.yaml").read_text().endswith("# changed\n")


@pytest.mark.slow
@pytest.mark.parametrize("steps", [5, 12, 25])
def test_install(outside: Outside, inside: Inside, steps: int) -> None:
    outside.create()
    bundle = outside.folder / "site.tar.zst"
    arguments = ["install", str(bundle), "--trust-key", str(outside.key.public)]
    home = inside.settings.home
    home.mkdir()
    killed = run(arguments, home, outside.model.id, steps)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert inside.store.artifacts() == [] and not inside.site.exists(), "nothing half is ever seen"
    (partial,) = inside.store.root.glob("staging/*/result/*.part")
    assert partial.stat().st_size > 0
    read: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        from freehold.serve.bundle.archive.reading import ArchivedFile

        original = ArchivedFile.blocks

        def told(self: ArchivedFile, offset: int = 0) -> object:
            if self.path.endswith(partial.name.removesuffix(".part")):
                read.append(offset)
            return original(self, offset)

        patch.setattr(ArchivedFile, "blocks", told)
        done = inside.install(bundle)
    assert read and read[0] > 0, "it goes on in the middle of the file"
    assert read_files(done.artifacts[0].path) == read_files(outside.model.path)
    assert not list(inside.store.root.glob("staging/*"))


@pytest.mark.slow
def test_install_after_a_kill_between_two_artifacts(outside: Outside, inside: Inside) -> None:
    outside.create()
    bundle = outside.folder / "site.tar.zst"
    home = inside.settings.home
    home.mkdir()
    arguments = ["install", str(bundle), "--trust-key", str(outside.key.public)]
    assert run(arguments, home, outside.adapter.id, 1).returncode == -signal.SIGKILL
    assert [artifact.id for artifact in inside.store.artifacts()] == [outside.model.id]
    again = run(arguments, home)
    assert again.returncode == 0 and "in the store already" in again.stderr
    assert len(inside.store.artifacts()) == 2 and inside.site.is_dir()
