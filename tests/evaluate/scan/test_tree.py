"""Which files are looked at, and that nothing is left out in silence."""

import os
import subprocess
from pathlib import Path

import pytest
from fixtures.scans import scanned

from freehold.core.errors import NotFoundError
from freehold.evaluate.scan.scanning import ScanRequest, scan
from freehold.evaluate.scan.tree import listing
from freehold.evaluate.scan.tree.reading import LARGEST_BYTES

SOURCE = "m = 'gpt-4o'\n"


def files(folder: Path) -> set[str]:
    """Those in which something was found."""
    return {each.file for each in scan(ScanRequest(folder)).findings}


def _git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True)


def _tree(folder: Path) -> None:
    scanned(folder, app_py=SOURCE, kept__a_py=SOURCE, ignored__b_py=SOURCE)
    (folder / ".gitignore").write_text("ignored/\n*.gen.py\n!keep.gen.py\n")
    (folder / "x.gen.py").write_text(SOURCE)
    (folder / "keep.gen.py").write_text(SOURCE)


def test_what_git_ignores_is_left_out(tmp_path: Path) -> None:
    _tree(tmp_path)
    _git(tmp_path, "init", "-q")
    assert files(tmp_path) == {"app.py", "kept/a.py", "keep.gen.py"}
    assert scan(ScanRequest(tmp_path)).ignored_by == "git"
    assert files(tmp_path / "kept") == {"a.py"}


@pytest.mark.parametrize("without", ["a work tree", "git"])
def test_without_git_the_rules_are_read(without: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _tree(tmp_path)
    if without == "git":
        _git(tmp_path, "init", "-q")
        monkeypatch.setattr(listing, "_from_git", lambda *_: None)
    assert files(tmp_path) == {"app.py", "kept/a.py", "keep.gen.py"}
    assert scan(ScanRequest(tmp_path)).ignored_by == ".gitignore"


def test_vendored_and_generated_trees_are_left_out_and_told(tmp_path: Path) -> None:
    inventory = scanned(
        tmp_path,
        package_json="{}",
        app_py=SOURCE,
        node_modules__a_py=SOURCE,
        dist__b_py=SOURCE,
        sub__build__c_py=SOURCE,
    )
    assert {each.file for each in inventory.findings} == {"app.py", "sub/build/c.py"}
    assert inventory.left_out == ["dist", "node_modules"]


def test_minified_and_binary_files_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.min.js").write_text("const m = 'gpt-4o';")
    (tmp_path / "b.js").write_text("const m='gpt-4o';" * 2000)
    (tmp_path / "c.py").write_bytes(b"\0\0m = 'gpt-4o'")
    (tmp_path / "d.png").write_bytes(b"gpt-4o")
    assert files(tmp_path) == set()


def test_a_file_that_is_too_large_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("# x\n" * (LARGEST_BYTES // 4 + 1))
    inventory = scan(ScanRequest(tmp_path))
    assert [(each.file, each.reason) for each in inventory.unread] == [("a.py", "is larger than 2 MiB")]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(SOURCE)
    (tmp_path / "a.py").chmod(0)
    (unread,) = scan(ScanRequest(tmp_path)).unread
    assert "Permission denied" in unread.reason


def test_a_file_that_fails_while_it_is_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.py").write_text(SOURCE)

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    (unread,) = scan(ScanRequest(tmp_path)).unread
    assert (unread.file, unread.reason, unread.scanned) == ("a.py", "cannot be read: Permission denied", False)


def test_links_that_go_in_circles_end(tmp_path: Path) -> None:
    scanned(tmp_path, a__app_py=SOURCE)
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a" / "self")
    (tmp_path / "broken.py").symlink_to(tmp_path / "nowhere.py")
    assert files(tmp_path) == {"a/app.py"}


def test_other_encodings_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"\xef\xbb\xbf" + SOURCE.encode())
    (tmp_path / "b.py").write_bytes(SOURCE.encode("utf-16"))
    (tmp_path / "c.py").write_bytes(b"x = '\xe9'  # latin\n" + SOURCE.encode())
    assert files(tmp_path) == {"a.py", "b.py", "c.py"}


def test_one_file_can_be_scanned(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(SOURCE)
    assert files(tmp_path / "a.py") == {"a.py"}


def test_nothing_there_is_an_error() -> None:
    with pytest.raises(NotFoundError, match="There is no"):
        scan(ScanRequest(Path("/nowhere/at/all")))
