"""Checkpoints that are whole or are not there: a mark is set when all of one has reached the disk."""

import os
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from freehold.core.store.atomic import fsync_folder, write_atomically

MARK = "whole"
PREFIX = "checkpoint-"


def whole_checkpoints(folder: Path) -> list[Path]:
    """Checkpoints that can be gone on from, the newest last."""
    found = [path for path in folder.glob(f"{PREFIX}*") if (path / MARK).is_file()]
    return sorted(found, key=step_of)


def step_of(checkpoint: Path) -> int:
    """Optimizer steps that were done when it was written."""
    return int(checkpoint.name.removeprefix(PREFIX))


def clear_halves(folder: Path) -> None:
    """Remove what a killed run had not finished writing."""
    for path in folder.glob(f"{PREFIX}*"):
        if not (path / MARK).is_file():
            shutil.rmtree(path)


class CheckpointKeeper(TrainerCallback):  # type: ignore[misc]  # transformers is Any to mypy
    """Marks each checkpoint once it is on the disk, then removes those beyond `keep`.

    Trainer's own rotation would remove the last whole one while the next is half written.
    """

    def __init__(self, keep: int) -> None:
        self._keep = keep

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if torch.distributed.is_initialized():
            torch.distributed.barrier()  # each worker writes its own random state
        if not state.is_world_process_zero:
            return
        folder = Path(args.output_dir)
        newest = folder / f"{PREFIX}{state.global_step}"
        for path in newest.iterdir():
            _fsync(path)
        fsync_folder(newest)
        write_atomically(newest / MARK, b"")
        fsync_folder(folder)
        for old in whole_checkpoints(folder)[: -self._keep]:
            (old / MARK).unlink()
            shutil.rmtree(old)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
