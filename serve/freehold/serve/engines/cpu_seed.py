"""Seeded requests on a CPU: a plugin that vLLM loads in each of its processes, and that mends one step of its own.

A prompt that is read in several pieces has a token sampled after each, and all but the last are thrown away. vLLM 0.32
(`vllm/v1/worker/gpu_model_runner.py`, `_bookkeeping_sync`) then turns the request's random generator back by its
offset, which only CUDA's generators have: on a CPU any client's `seed` beside a long prompt ended the engine. Here the
generator's state is taken before the draw and put back after it. Imports vLLM only inside an engine.
"""

import logging
import os
from typing import Any

VARIABLE = "FREEHOLD_CPU_SEED"
"""Set to `1` for an engine without GPU."""
STEPS = ("_sample", "_bookkeeping_sync")

log = logging.getLogger("freehold.engine")


def install() -> None:
    """Mend the runner in this process, where the engine was started for it; else do nothing."""
    if os.environ.get(VARIABLE) != "1":
        return
    from vllm.v1.worker.gpu_model_runner import GPUModelRunner

    mend(GPUModelRunner)


def mend(runner: type[Any]) -> None:
    """Turn the generators of tokens that are thrown away back by their state, in this class of runner.

    Another version of vLLM may have other steps; its engine starts all the same, and the log says what was not mended.
    """
    if missing := [name for name in STEPS if not hasattr(runner, name)]:
        log.warning("This vLLM has no %s: `seed` beside a long prompt may end the engine", " and no ".join(missing))
        return
    sample, keep_books = runner._sample, runner._bookkeeping_sync

    def _sample(self: Any, *arguments: Any, **named: Any) -> Any:
        self._states_before = {row: self.input_batch.generators[row].get_state() for row in _thrown_away(self)}
        return sample(self, *arguments, **named)

    def _bookkeeping_sync(self: Any, *arguments: Any, **named: Any) -> Any:
        generators = self.input_batch.generators
        hidden = {row: generators.pop(row) for row in _thrown_away(self)}
        for row, generator in hidden.items():
            generator.set_state(self._states_before[row])
        try:
            return keep_books(self, *arguments, **named)
        finally:
            generators.update(hidden)

    runner._sample, runner._bookkeeping_sync = _sample, _bookkeeping_sync


def _thrown_away(runner: Any) -> list[int]:
    """Rows of the batch whose sampled token is none of the answer's, and which draw from a generator of their own."""
    mask = runner.discard_request_mask.np[: runner.input_batch.num_reqs]
    return [row for row in runner.input_batch.generators if row < len(mask) and mask[row]]
