"""The files of a folder that are its own: as git lists them, else by walking and .gitignore."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from freehold.core.errors import NotFoundError
from freehold.evaluate.scan.finding import Unread

VENDORED = frozenset(
    [
        ".git",
        ".hg",
        ".svn",
        "node_modules",
        "bower_components",
        "jspm_packages",
        ".venv",
        "venv",
        "virtualenv",
        "site-packages",
        "dist-packages",
        "__pycache__",
        ".tox",
        ".nox",
        ".mypy_cache",
        ".ruff_cache",
        ".pytest_cache",
        ".cache",
        ".next",
        ".nuxt",
        ".svelte-kit",
        ".turbo",
        ".parcel-cache",
        ".gradle",
        ".terraform",
        ".eggs",
        ".yarn",
        ".pnpm-store",
        "third_party",
        "vendor",
        "Pods",
        ".ipynb_checkpoints",
        "htmlcov",
        "coverage",
    ]
)
GENERATED = frozenset(("dist", "build", "out", "target", "_build"))
"""Left out only in a folder that has the sources beside them; a package that ships nothing else is read."""
SOURCES = (
    "package.json",
    "pyproject.toml",
    "setup.py",
    "Cargo.toml",
    "pom.xml",
    "build.gradle",
    "tsconfig.json",
    "src",
)


@dataclass(slots=True)
class Listing:
    """What was found, and what was left out unread with its reason."""

    root: Path
    files: list[Path] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    ignored_by: str = ""
    """What decided: `git`, `.gitignore`, or nothing."""
    left_out: set[str] = field(default_factory=set)
    """Folders that are vendored or generated."""


def list_files(path: Path) -> Listing:
    """Every file to look at, sorted. Raises NotFoundError without such a path."""
    if not path.exists():
        raise NotFoundError(
            f"There is no {path}", why="nothing is there to scan", next_step="Name a folder or a file: freehold scan ."
        )
    if path.is_file():
        return Listing(path.parent, [path])
    listing = Listing(path)
    tracked = _from_git(path, listing)
    ours = tracked if tracked is not None else _walk(path, listing)
    listing.files = sorted(set(ours))
    return listing


def _from_git(root: Path, listing: Listing) -> list[Path] | None:
    """As `git ls-files` has them; None outside a work tree or where git cannot say."""
    if not _is_work_tree(root):
        return None
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "."]
    try:
        ended = subprocess.run(command, capture_output=True, check=False, timeout=120, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if ended.returncode:
        return None
    listing.ignored_by = "git"
    found = []
    for name in filter(None, ended.stdout.split(b"\0")):
        path = root / os.fsdecode(name)
        if folder := _left_out(path.relative_to(root).parts[:-1], root):
            listing.left_out.add(folder)
            continue
        if path.is_symlink():
            # What it leads to is listed by itself if it is part of the tree.
            continue
        if path.is_file():
            found.append(path)
    return found


def _is_work_tree(root: Path) -> bool:
    return any((folder / ".git").exists() for folder in (root.absolute(), *root.absolute().parents))


def _left_out(folders: tuple[str, ...], root: Path) -> str:
    """The first of these folders, one within the other, that is vendored or generated; empty if none is."""
    for depth, name in enumerate(folders):
        if name in VENDORED:
            return "/".join(folders[: depth + 1])
        if name in GENERATED and any((root.joinpath(*folders[:depth]) / source).exists() for source in SOURCES):
            return "/".join(folders[: depth + 1])
    return ""


def _walk(root: Path, listing: Listing) -> Iterator[Path]:
    """Links to folders are not followed, so that no loop is walked."""
    ignored = _Ignored(root)

    def tell(error: OSError) -> None:
        name = Path(error.filename or root)
        told = str(name.relative_to(root)) if name.is_relative_to(root) else str(name)
        listing.unread.append(Unread(told, f"cannot be listed: {error.strerror}"))

    for folder, folders, names in os.walk(root, onerror=tell):
        here = Path(folder)
        ignored.enter(here)
        inside = here.relative_to(root).parts
        listing.left_out |= {left for name in folders if (left := _left_out((*inside, name), root))}
        folders[:] = sorted(
            name
            for name in folders
            if "/".join((*inside, name)) not in listing.left_out
            and not (here / name).is_symlink()
            and not ignored.has(here / name, is_folder=True)
        )
        for name in names:
            path = here / name
            if not path.is_symlink() and path.is_file() and not ignored.has(path):
                yield path
    listing.ignored_by = ".gitignore" if ignored.rules else ""


class _Ignored:
    """The .gitignore files of a tree; used where git is not there to ask."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.rules: list[tuple[Path, object]] = []

    def enter(self, folder: Path) -> None:
        """Read the folder's own rules."""
        from pathspec import GitIgnoreSpec

        path = folder / ".gitignore"
        try:
            if path.is_file():
                lines = path.read_text(errors="replace").splitlines()
                self.rules.append((folder, GitIgnoreSpec.from_lines(lines)))
        except (OSError, ValueError):
            return

    def has(self, path: Path, *, is_folder: bool = False) -> bool:
        """Whether a rule of the folder or of one above it leaves it out; the nearest that speaks decides."""
        verdict = False
        for folder, spec in self.rules:
            if path.is_relative_to(folder):
                name = path.relative_to(folder).as_posix() + ("/" if is_folder else "")
                said = spec.check_file(name).include  # type: ignore[attr-defined]
                verdict = verdict if said is None else said
        return verdict
