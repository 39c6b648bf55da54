"""Shuts itself in and becomes Python on a program: run by `sandbox.running` as a script, the standard library alone.

As process 1 of its own namespaces (unshare(1)) it makes a file system of the system's libraries and Python, read-only,
and an empty /tmp; what else the machine has is not in it. It gives up every capability before the program begins.
https://man7.org/linux/man-pages/man7/user_namespaces.7.html
"""

import ctypes
import json
import os
import platform
import resource
import sys
from contextlib import suppress
from pathlib import Path

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC = 1, 2, 4, 32, 4096, 16384
KEPT_FLAGS = 1 | 2 | 4 | 8 | 1024 | 2048 | 4096  # as statvfs(3) tells them; a namespace may not take one off
MNT_DETACH = 2
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
PR_CAPBSET_DROP, PR_SET_SECUREBITS, PR_SET_NO_NEW_PRIVS = 24, 28, 38
LAST_CAPABILITY = 63
NO_ROOT = 0b101111  # SECBIT_NOROOT, NO_SETUID_FIXUP, their locks, and KEEP_CAPS locked off

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/etc/ld.so.cache")
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")

libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    given = json.loads(sys.argv[1])
    program = sys.stdin.buffer.read()
    if given["root"]:
        build(given["root"], given["python_root"], given["disk_bytes"])
        folder = "/tmp"
    else:
        folder = given["folder"]
    os.chdir(folder)
    Path("program.py").write_bytes(program)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    limit(given)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    environ = {"PATH": "/usr/bin:/bin", "HOME": folder, "TMPDIR": folder, "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"}
    os.execve(given["python"], [given["python"], "-I", "-S", "-B", "program.py"], environ)


def build(root: str, python_root: str, disk_bytes: int) -> None:
    """A root of read-only binds and an empty /tmp, and no way back to the old one."""
    with suppress(OSError):  # of this namespace; a program could get rights in one of its own
        Path("/proc/sys/user/max_user_namespaces").write_text("0")
    mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755")
    for path in (*SYSTEM, *DEVICES, python_root):
        place = Path(root + path)
        if not os.path.lexists(path) or os.path.lexists(place):
            continue
        if Path(path).is_symlink():  # /lib of today's systems
            place.symlink_to(Path(path).readlink())
        else:
            bind(Path(path), place)
    temporary, old = Path(root, "tmp"), Path(root, "old")
    temporary.mkdir()
    mount("tmpfs", str(temporary), "tmpfs", MS_NOSUID | MS_NODEV, f"size={disk_bytes},mode=700")
    old.mkdir()
    check(libc.syscall(PIVOT_ROOT[platform.machine()], root.encode(), str(old).encode()), "pivot_root")
    os.chdir("/")
    check(libc.umount2(b"/old", MNT_DETACH), "umount")
    Path("/old").rmdir()
    mount("none", "/", None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV)
    drop_capabilities()


def bind(path: Path, place: Path) -> None:
    """The same at another place; read-only but for devices."""
    if path.is_dir():
        place.mkdir(parents=True)
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    mount(str(path), str(place), None, MS_BIND | MS_REC)
    if str(path) not in DEVICES:
        flags = os.statvfs(place).f_flag & KEPT_FLAGS
        mount("none", str(place), None, flags | MS_REMOUNT | MS_BIND | MS_RDONLY)


def mount(source: str, place: str, kind: "str | None", flags: int, data: "str | None" = None) -> None:
    words = [text.encode() if text is not None else None for text in (source, place, kind)]
    options = data.encode() if data is not None else None
    check(libc.mount(*words, ctypes.c_ulong(flags), options), f"mount {place}")


def drop_capabilities() -> None:
    """None is left, and none comes back with the next execve(2)."""
    for capability in range(LAST_CAPABILITY + 1):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # those that this kernel does not have are an error
    check(libc.prctl(PR_SET_SECUREBITS, NO_ROOT, 0, 0, 0), "prctl")


def limit(given: "dict[str, int]") -> None:
    for kind, most in (
        (resource.RLIMIT_AS, given["memory_bytes"]),
        (resource.RLIMIT_CPU, given["cpu_s"]),
        (resource.RLIMIT_FSIZE, given["disk_bytes"]),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))
    if given["root"]:  # counted in the namespace alone; outside it would count all that the user runs
        resource.setrlimit(resource.RLIMIT_NPROC, (32, 32))


def check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


if __name__ == "__main__":
    main()
