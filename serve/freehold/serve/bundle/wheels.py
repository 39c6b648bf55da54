"""Wheels of the toolkit and the engine, as the environment's locks pin them, for machines other than this one."""

import platform
import re
import sys
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from email.parser import HeaderParser
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from freehold import core
from freehold.core.environment.lock import Pin, lock_path, normalize, read_lock
from freehold.core.environment.pip import run_pip
from freehold.core.environment.variant import VARIANTS, Variant, choose_variant
from freehold.core.errors import ConfigError, NotFoundError, UserError
from freehold.core.progress import phase
from freehold.core.store import hash_file
from freehold.serve.bundle.index import WHEELS, WheelSet

TOOLKIT = "freehold"
ARCHITECTURES = ("x86_64", "aarch64")
GLIBC_MINOR = 31
"""The locks' oldest Linux: glibc 2.31."""
GIVEN = "given"
_CHECKOUT = Path(core.__file__).parents[3]


@dataclass(frozen=True)
class WheelRequest:
    """For which machines; or a folder with what somebody has gathered already."""

    variants: tuple[str, ...] = ()
    """`cpu`, `cuda`; empty is this machine's."""
    pythons: tuple[str, ...] = ()
    """For example `3.12`; empty is this one."""
    platforms: tuple[str, ...] = ()
    """Of `ARCHITECTURES`; empty is this machine's."""
    folder: Path | None = None
    """Take what is in here, and download nothing."""

    def targets(self) -> list[tuple[Variant, str, str]]:
        """Each variant, Python and platform. Raises UserError on one that there is not."""
        variants = self.variants or (choose_variant().name,)
        pythons = self.pythons or (f"{sys.version_info[0]}.{sys.version_info[1]}",)
        platforms = self.platforms or (platform.machine(),)
        for given, known, flag in ((variants, VARIANTS, "--variant"), (platforms, ARCHITECTURES, "--platform")):
            for one in given:
                if one not in known:
                    raise UserError(f"{flag} {one}: there is none", why=f"supported: {', '.join(known)}")
        return [(VARIANTS[each], python, machine) for each in variants for python in pythons for machine in platforms]


@dataclass(frozen=True)
class Wheel:
    """One wheel file."""

    path: Path
    name: str
    version: str
    sha256: str

    def license(self) -> str:
        """What its metadata say: an SPDX expression, or the words of the field `License`."""
        with zipfile.ZipFile(self.path) as packed:
            (inside,) = [name for name in packed.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
            said = HeaderParser().parsestr(packed.read(inside).decode(errors="replace"))
        expression = str(said["License-Expression"] or "").strip()
        words = str(said["License"] or "").strip()
        return expression or (words if "\n" not in words and len(words) <= 80 else "")


def read_wheel(path: Path) -> Wheel:
    """By its file name, which begins with name and version."""
    name, number, *_ = path.stem.split("-")
    return Wheel(path, normalize(name), number, hash_file(path))


def gather_wheels(request: WheelRequest, folder: Path) -> tuple[list[WheelSet], list[Wheel]]:
    """Fill `folder/wheels`, with a requirements file for each target that pins by digest; what is there stays.

    Raises ConfigError naming what a given folder lacks, EnvironmentProblem with pip's words.
    """
    target = folder / WHEELS
    target.mkdir(parents=True, exist_ok=True)
    if request.folder is not None:
        return _given(request, target)
    _toolkit_wheel(target, folder / "logs")
    for variant, python, machine in request.targets():
        pins = pins_of(variant, python)
        with phase(f"Downloading {len(pins)} wheels: {variant.name}, Python {python}, {machine}"):
            _download(pins, python, machine, target, folder / "logs")
    wheels = [read_wheel(path) for path in sorted(target.glob("*.whl"))]
    return [_wheel_set(*one, wheels, target) for one in request.targets()], wheels


def _given(request: WheelRequest, target: Path) -> tuple[list[WheelSet], list[Wheel]]:
    assert request.folder is not None, "asked only with a folder"
    wheels = [read_wheel(path) for path in sorted(request.folder.glob("*.whl"))]
    if not wheels:
        raise NotFoundError(f"No wheels in {request.folder}", next_step="Fill it with `pip download`, or name another.")
    if request.variants:
        return [_wheel_set(*one, wheels, target) for one in request.targets()], wheels
    path = f"{WHEELS}/requirements.txt"
    (target / "requirements.txt").write_text(_requirements(wheels, ((one.name, one.version) for one in wheels)))
    return [WheelSet(variant=GIVEN, python="", platform="", requirements=path, count=len(wheels))], wheels


def pins_of(variant: Variant, python: str) -> tuple[Pin, ...]:
    """What the lock has for a Python. Raises UserError for one that it is not for."""
    pins = read_lock(lock_path(variant)).for_python(python)
    known = {one for pin in read_lock(lock_path(variant)).pins for one in pin.pythons}
    if not re.fullmatch(r"3\.\d+", python) or (known and python not in known):
        raise UserError(f"--python {python}: the locks are for {', '.join(sorted(known))}")
    return pins


def _wheel_set(variant: Variant, python: str, machine: str, wheels: list[Wheel], target: Path) -> WheelSet:
    wanted = [(pin.name, pin.version) for pin in pins_of(variant, python)]
    have = {(one.name, one.version) for one in wheels}
    toolkits = [(one.name, one.version) for one in wheels if one.name == TOOLKIT]
    problems = [f"{name}=={number}: no wheel" for name, number in wanted if (name, number) not in have]
    if not toolkits:
        problems.append(f"{TOOLKIT}: no wheel of the toolkit itself")
    if problems:
        raise ConfigError(f"The wheels for {variant.name}, Python {python}, {machine} are not complete", problems)
    path = f"{WHEELS}/requirements-{variant.name}-py{python}-{machine}.txt"
    (target / Path(path).name).write_text(_requirements(wheels, [*wanted, *toolkits[:1]]))
    return WheelSet(variant=variant.name, python=python, platform=machine, requirements=path, count=len(wanted) + 1)


def _requirements(wheels: list[Wheel], wanted: Iterable[tuple[str, str]]) -> str:
    """Lines for `pip install --no-deps --no-index --find-links`: pip takes nothing that has another digest."""
    digests: dict[tuple[str, str], list[str]] = {}
    for one in wheels:
        digests.setdefault((one.name, one.version), []).append(one.sha256)
    lines = []
    for name, number in sorted(set(wanted)):
        hashes = " ".join(f"--hash=sha256:{digest}" for digest in sorted(set(digests[name, number])))
        lines.append(f"{name}=={number} {hashes}\n")
    return "".join(lines)


def _toolkit_wheel(target: Path, logs: Path) -> None:
    """Freehold's own: built from a checkout, else the published one of this version."""
    if any(target.glob(f"{TOOLKIT}-*.whl")):
        return
    with phase("Making the toolkit's wheel"):
        python = Path(sys.executable)
        if (_CHECKOUT / "pyproject.toml").is_file():
            isolation = ["--no-build-isolation"] if find_spec("hatchling") else []
            options = ["--no-deps", *isolation, "--wheel-dir", str(target)]
            run_pip(python, "wheel", *options, str(_CHECKOUT), log=logs / "toolkit.log")
        else:
            options = ["--no-deps", "--only-binary=:all:", "--dest", str(target)]
            run_pip(python, "download", *options, f"{TOOLKIT}=={version(TOOLKIT)}", log=logs / "toolkit.log")


def _download(pins: tuple[Pin, ...], python: str, machine: str, target: Path, logs: Path) -> None:
    listed = logs / f"pins-{python}-{machine}.txt"
    listed.parent.mkdir(parents=True, exist_ok=True)
    listed.write_text("".join(f"{pin.name}=={pin.version}\n" for pin in pins))
    options = ["--no-deps", "--only-binary=:all:", "--progress-bar=off", "--dest", str(target)]
    options += ["--implementation", "cp", "--python-version", python]
    for tag in platform_tags(machine):
        options += ["--platform", tag]
    run_pip(Path(sys.executable), "download", *options, "--requirement", str(listed), log=logs / "download.log")


def platform_tags(machine: str) -> list[str]:
    """Tags of wheels that run on the oldest Linux of the locks, the newest first: pip itself adds no older ones."""
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC_MINOR, 4, -1)]
    old = ["manylinux2014", "manylinux2010", "manylinux1"] if machine == "x86_64" else ["manylinux2014"]
    return [*tags, *(f"{one}_{machine}" for one in old), f"linux_{machine}"]
