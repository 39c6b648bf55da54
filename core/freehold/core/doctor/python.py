"""Is this Python one that Freehold runs on, on a machine that its locks are for?"""

import platform
import sys

from freehold.core.doctor.check import Finding, Status

MINIMUM = (3, 11)
LOCKED = ((3, 11), (3, 12), (3, 13))
"""The versions for which the locks were resolved."""


def check_python(version: tuple[int, int] | None = None, machine: tuple[str, str] | None = None) -> Finding:
    version = version or sys.version_info[:2]
    system, processor = machine or (platform.system(), platform.machine())
    found = f"Python {version[0]}.{version[1]}, {system} {processor}"
    if version < MINIMUM:
        return Finding(Status.FAIL, found, "Install Python 3.11 or newer, then `make env PYTHON=python3.11`.")
    if (system, processor) != ("Linux", "x86_64"):
        return Finding(Status.WARN, f"{found}: engines and locks are for Linux x86_64", "Serve from such a machine.")
    if version not in LOCKED:
        remedy = "Use Python 3.13 or older if packages do not install: `make env PYTHON=python3.13`."
        return Finding(Status.WARN, f"{found}: newer than the locks know", remedy)
    return Finding(Status.OK, found)
