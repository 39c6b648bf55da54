"""Install exact pins into an environment, several pips at a time, with a count of packages on stderr.

Without resolving there is no order among the pins, and pip spends most of its time on one core unpacking. Two pips with
eight parts took 87 s where one took 132 s (205 packages, 2 cores), and nothing that is not pinned can slip in.
"""

import os
import re
import subprocess
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path

from freehold.core.counter import Counter
from freehold.core.environment.folder import locks_to_pass
from freehold.core.environment.lock import Pin, normalize
from freehold.core.environment.pip import last_lines, run_pip
from freehold.core.errors import EnvironmentProblem, IntegrityError

PARTS = 8
MAX_PIPS = 4
POLL_S = 0.5

_MISSING = re.compile(r"^\S+ \S+ requires (?P<name>[A-Za-z0-9._-]+), which is not installed\.$")


def install_pins(folder: Path, pins: tuple[Pin, ...], logs: Path) -> None:
    """Install exactly `pins` into the environment at `folder`. Raises EnvironmentProblem with pip's last lines."""
    pool = ThreadPoolExecutor(max(2, min(MAX_PIPS, os.cpu_count() or 1)))
    try:
        running = [
            pool.submit(_install_part, folder, part, logs / f"part-{number}.log")
            for number, part in enumerate(split(pins), 1)
        ]
        with Counter("packages", len(pins)) as counter:
            _watch(running, counter, folder, pins)
    finally:
        pool.shutdown(cancel_futures=True)


def split(pins: tuple[Pin, ...]) -> list[tuple[Pin, ...]]:
    """Parts of about equal length; names that sort together, often one project's, are spread out."""
    return [part for start in range(PARTS) if (part := pins[start::PARTS])]


def check_pins(python: Path, absent: frozenset[str], log: Path) -> None:
    """Let pip check that what is installed fits together, but for what is `absent` on purpose.

    Raises IntegrityError.
    """
    try:
        run_pip(python, "check", log=log)
    except EnvironmentProblem:
        # pip check fails on what is absent on purpose as well; what else it said decides.
        problems = unexpected(log.read_text(), absent)
        if problems:
            said = "\n" + last_lines("\n".join(problems))
            raise IntegrityError("The environment does not fit together", why=said) from None


def unexpected(report: str, absent: frozenset[str]) -> list[str]:
    """Lines of `pip check` that are not about a package left out on purpose."""
    lines = [line for line in report.splitlines() if line.strip() and not line.startswith("WARNING")]
    return [line for line in lines if not ((found := _MISSING.match(line)) and normalize(found["name"]) in absent)]


def compile_modules(folder: Path, log: Path) -> None:
    """Write byte code for every module, on all cores, so that no engine start pays for it.

    An engine imports some 8,000 modules in each of its processes, and where PYTHONDONTWRITEBYTECODE is set, or the
    environment is read-only, it would compile them anew at every start. Files that do not compile (templates, code
    for other Pythons) are left as they are.
    """
    options = ("-q", "-j", "0", "-x", "/tests?/")
    command = [str(folder / "bin" / "python"), "-m", "compileall", *options, str(site_packages(folder))]
    with log.open("w") as out:
        subprocess.run(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, pass_fds=locks_to_pass(), check=False)


def site_packages(folder: Path) -> Path:
    """Where an environment keeps its packages."""
    (found,) = (folder / "lib").glob("python3*/site-packages")
    return found


def installed(folder: Path) -> dict[str, str]:
    """Name to version of every distribution in an environment, from the names of its metadata folders alone."""
    folders = site_packages(folder).glob("*.dist-info")
    pairs = (path.name.removesuffix(".dist-info").rpartition("-") for path in folders)
    return {normalize(name): version for name, _, version in pairs}


def size_bytes(folder: Path) -> int:
    """Disk space of everything below `folder`."""
    total = 0
    for place, _, names in os.walk(folder):
        total += sum(os.lstat(os.path.join(place, name)).st_size for name in names)  # noqa: PTH118  (60,000 files)
    return total


def _install_part(folder: Path, pins: tuple[Pin, ...], log: Path) -> None:
    wanted = [f"{pin.name}=={pin.version}" for pin in pins]
    # pip would compile on one core; `compile_modules` does it on all of them.
    run_pip(folder / "bin" / "python", "install", "--no-deps", "--no-compile", "--progress-bar=off", *wanted, log=log)


def _watch(running: list[Future[None]], counter: Counter, folder: Path, pins: tuple[Pin, ...]) -> None:
    names = {pin.name for pin in pins}
    pending = set(running)
    while pending:
        done, pending = wait(pending, timeout=POLL_S, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()
        counter.show(len(names & installed(folder).keys()))
