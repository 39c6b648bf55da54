"""What is pulled and from where: an artifact of random bytes behind a real `freehold mirror`."""

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from freehold.core.store import FileRecord, Lineage, SourceRecord, Store, content_digest, hash_file
from freehold.core.store.lineage import artifact_id

REPO = "bench/random"
BLOCK_BYTES = 1 << 20


def make_store(home: Path, gib: int, files: int) -> Path:
    """A store below `home` with one artifact; returns the artifact's folder."""
    store = Store(home / "store")
    with store.staging("bench") as staging:
        staging.result.mkdir(parents=True)
        (staging.result / "config.json").write_text('{"model_type": "llama"}')
        for number in range(1, files + 1):
            name = f"model-{number:05}-of-{files:05}.safetensors"
            _write_safetensors(staging.result / name, (gib << 30) // files)
        records = tuple(_record(path, staging.result) for path in sorted(staging.result.iterdir()))
        lineage = Lineage(
            id=artifact_id("random", records),
            name="random",
            digest=content_digest(records),
            files=records,
            source=SourceRecord(kind="hub", location=REPO, revision="main", commit="b" * 40),
        )
        return store.add(staging, lineage).path


def _write_safetensors(path: Path, size_bytes: int) -> None:
    """One tensor of random bytes with a valid header."""
    header = {"weight": {"dtype": "U8", "shape": [size_bytes], "data_offsets": [0, size_bytes]}}
    text = json.dumps(header).encode()
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for start in range(0, size_bytes, BLOCK_BYTES):
            stream.write(os.urandom(min(BLOCK_BYTES, size_bytes - start)))


def _record(path: Path, root: Path) -> FileRecord:
    return FileRecord(path=path.relative_to(root).as_posix(), size_bytes=path.stat().st_size, sha256=hash_file(path))


@dataclass(frozen=True)
class Mirror:
    """A running mirror."""

    url: str
    pid: int


@contextmanager
def running_mirror(home: Path) -> Iterator[Mirror]:
    """`freehold mirror` as a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from freehold.serve.cli.mirror import app; app()", "--port", "0"],
        env={**os.environ, "FREEHOLD_HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        try:
            yield Mirror(process.stdout.readline().strip().partition("=")[2], process.pid)
        finally:
            process.terminate()
