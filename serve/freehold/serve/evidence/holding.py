"""Whether some process holds a lock on a file, without taking part in it: whoever tried would be in the way."""

from pathlib import Path

LOCKS = Path("/proc/locks")


def is_held(path: Path, locks: Path = LOCKS) -> bool:
    """Whether a process of this machine holds a lock (flock(2)) on the file; proc(5) describes the list."""
    try:
        inode = str(path.stat().st_ino)
        lines = locks.read_text().splitlines()
    except OSError:
        return False
    held = (line.split() for line in lines if "FLOCK" in line and "->" not in line)
    return any(words[5].rpartition(":")[2] == inode for words in held)
