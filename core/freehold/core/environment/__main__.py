"""`python3 -m freehold.core.environment --venv .venv`: both environments, on a machine that has nothing but Python."""

import argparse
import sys
import time
from pathlib import Path

MINIMUM = (3, 11)


def main() -> int:
    # Everything below this line may use the grammar of 3.11, so older ones must be turned away before importing it.
    if sys.version_info < MINIMUM:
        print(
            f"freehold: Python {sys.version.split()[0]} is too old: Freehold needs 3.11 or newer.\n"
            "Install one, then name it: `make PYTHON=python3.11 …`.",
            file=sys.stderr,
        )
        return 7
    from freehold.core.errors import FreeholdError

    parser = argparse.ArgumentParser(prog="python3 -m freehold.core.environment", description=__doc__)
    parser.add_argument("--venv", type=Path, default=Path(".venv"), help="the clone's own environment")
    parser.add_argument("--project", type=Path, default=Path(), help="folder of pyproject.toml")
    options = parser.parse_args()
    try:
        _ensure(options.venv, options.project)
    except FreeholdError as error:
        print(f"freehold: {error}", file=sys.stderr)
        if error.next_step:
            print(error.next_step, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("freehold: interrupted", file=sys.stderr)
        return 130
    return 0


def _ensure(venv: Path, project: Path) -> None:
    from freehold.core.environment.clone import ensure_clone
    from freehold.core.environment.shared import cache_root, ensure_shared
    from freehold.core.environment.variant import choose_variant
    from freehold.core.environment.venv import require_machine, require_venv_module

    started = time.monotonic()
    require_machine()
    require_venv_module()
    shared = ensure_shared(choose_variant(), cache_root())
    if ensure_clone(venv, project, shared):
        print(f"{venv} is ready: {time.monotonic() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
