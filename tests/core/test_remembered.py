"""Files are read once for all who look at them."""

import threading
from pathlib import Path

from freehold.core.remembered import Remembered

LIMIT_S = 60


def test_who_comes_while_a_file_is_read_waits_and_does_not_read_it_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("a")
    begun, go = threading.Event(), threading.Event()

    def slowly(path: Path) -> str:
        begun.set()
        assert go.wait(LIMIT_S)
        return path.read_text()

    remembered = Remembered(slowly)
    found: list[str] = []
    readers = [threading.Thread(target=lambda: found.append(remembered.of(path))) for _ in range(3)]
    for reader in readers:
        reader.start()
    assert begun.wait(LIMIT_S)
    readers[-1].join(0.1)
    assert found == []
    go.set()
    for reader in readers:
        reader.join(LIMIT_S)
    assert (found, remembered.reads) == (["a"] * 3, 1)
    path.write_text("bc")
    assert (remembered.of(path), remembered.reads) == ("bc", 2)
