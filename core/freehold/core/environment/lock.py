"""Locks: exact versions of everything in an environment, packaged with the wheel."""

import hashlib
import re
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from freehold.core.environment.variant import Variant
from freehold.core.errors import IntegrityError

FOLDER = Path(__file__).parent / "locks"
RECIPE = "1"
"""Raise it when the way of installing changes and an environment made the old way must not be reused."""

_ONE_PYTHON = r"python_version == '(\d+\.\d+)'"
_PIN = re.compile(
    rf"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;]+)(?:\s*;\s*(?P<marker>{_ONE_PYTHON}(?: or {_ONE_PYTHON})*))?$"
)


def normalize(name: str) -> str:
    """The one spelling of a distribution's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True)
class Pin:
    """One line of a lock."""

    name: str
    version: str
    pythons: tuple[str, ...] = ()
    """The Python versions that it is for; all of them when empty."""

    def __str__(self) -> str:
        marker = " or ".join(f"python_version == '{python}'" for python in self.pythons)
        return f"{self.name}=={self.version}" + (f" ; {marker}" if marker else "")


@dataclass(frozen=True)
class Lock:
    """The pins of one variant and a digest of all that decides what gets installed."""

    pins: tuple[Pin, ...]
    digest: str

    def for_python(self, python: str) -> tuple[Pin, ...]:
        """The pins that apply to a Python such as `3.12`."""
        return tuple(pin for pin in self.pins if python in pin.pythons or not pin.pythons)

    def versions_of(self, name: str) -> set[str]:
        return {pin.version for pin in self.pins if pin.name == normalize(name)}


def lock_path(variant: Variant, folder: Path = FOLDER) -> Path:
    return folder / f"{variant.name}.txt"


def read_lock(path: Path) -> Lock:
    """Parse a lock. Raises IntegrityError on a line that pins nothing."""
    text = path.read_text()
    seed = "\n".join((text, RECIPE, sysconfig.get_platform()))
    return Lock(parse_pins(text, str(path)), hashlib.sha256(seed.encode()).hexdigest()[:12])


def parse_pins(text: str, origin: str) -> tuple[Pin, ...]:
    """Pins from `name==version [; python_version == '3.11' [or …]]` lines; comments and empty lines are skipped."""
    pins = []
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.partition("#")[0].strip()
        if not stripped:
            continue
        found = _PIN.match(stripped)
        if found is None:
            raise IntegrityError(f"{origin}:{number} is no exact pin", why=repr(stripped), next_step="Run `make lock`.")
        pins.append(Pin(normalize(found["name"]), found["version"], _pythons(found["marker"])))
    return tuple(pins)


def _pythons(marker: str | None) -> tuple[str, ...]:
    return tuple(re.findall(_ONE_PYTHON, marker or ""))
