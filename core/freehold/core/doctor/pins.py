"""Are the installed versions those of the lock?"""

from importlib import metadata

from freehold.core.doctor.check import Finding, Status
from freehold.core.environment.lock import Lock, lock_path, normalize, read_lock
from freehold.core.environment.variant import CPU, CUDA, Variant

NAMED = 4
"""So many differences are named; the rest are counted."""


def check_pins(lock: Lock | None = None, installed: dict[str, str] | None = None) -> Finding:
    """Compare; packages that are not pinned, or pinned and not installed, may be so on purpose."""
    here = installed_versions() if installed is None else installed
    variant = installed_variant(here)
    pinned = lock or read_lock(lock_path(variant))
    different = [
        f"{name} {version} (locked: {', '.join(sorted(wanted))})"
        for name, version in sorted(here.items())
        if (wanted := pinned.versions_of(name)) and version not in wanted
    ]
    known = sum(bool(pinned.versions_of(name)) for name in here)
    if different:
        more = f" and {len(different) - NAMED} more" if len(different) > NAMED else ""
        finding = f"{len(different)} of {known} versions differ from the lock: {', '.join(different[:NAMED])}{more}"
        return Finding(Status.WARN, finding, "Make the environment anew with `make clean env`, or expect surprises.")
    return Finding(Status.OK, f"{known} installed packages are as locked ({variant.name})")


def installed_variant(installed: dict[str, str]) -> Variant:
    """The variant whose engine is installed; the CPU's when none is."""
    return CUDA if CUDA.engine in installed else CPU


def installed_versions() -> dict[str, str]:
    """Name to version of every distribution that this Python sees; of two, the one that is imported."""
    seen: dict[str, str] = {}
    for distribution in metadata.distributions():
        seen.setdefault(normalize(distribution.name), distribution.version)
    return seen
