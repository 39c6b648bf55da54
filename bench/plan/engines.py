"""Engines without a gateway, with the arguments that `freehold serve` gives them, one after the other."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from freehold.core.environment.gpu import has_nvidia_gpu
from freehold.core.store import Artifact
from freehold.serve.config import ProcessEngine
from freehold.serve.engines.vllm import API_SERVER, launch

WORKER = Path(__file__).parent / "engine_worker.py"
RANK = 8


class EngineRefused(Exception):
    """What vLLM said, its first line."""


@dataclass(frozen=True)
class Timed:
    """A load to time: so many sequences at once, each with so many tokens of prompt and of answer."""

    sequences: int
    prompt_tokens: int
    output_tokens: int


@dataclass
class Engines:
    """The process that runs them."""

    process: "subprocess.Popen[str]"

    def ask(
        self,
        model: Artifact,
        prompts: Sequence[Sequence[int]],
        adapter: Artifact | None = None,
        *,
        context: int = 128,
        dtype: Literal["auto", "float32"] = "auto",
        timed: Timed | None = None,
    ) -> dict[str, Any]:
        """Log-probabilities of each prompt's own tokens, by the model (`base`) and with the adapter (`adapter`); what
        its weights and its cache take (`memory`); and how fast it was (`speed`), where that was asked for.

        Raises EngineRefused with what vLLM said.
        """
        config = ProcessEngine(dtype=dtype, max_model_len=context, max_loras=1, max_lora_rank=RANK)
        started = launch(
            model,
            config,
            name="model",
            python=Path(sys.executable),
            port=0,
            fingerprint="measured",
            has_gpu=has_nvidia_gpu(),
            max_lora_rank=RANK if adapter else None,
        )
        arguments = started.command[started.command.index(API_SERVER) + 1 :]
        env = {name: value for name, value in started.env.items() if os.environ.get(name) != value}
        # The fork is all the isolation there is: no process of its own for the scheduler.
        env["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        job = {"arguments": arguments, "env": env, "prompts": prompts, "timed": timed and vars(timed)}
        job["adapter"] = str(adapter.path) if adapter else None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(job), file=self.process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise EngineRefused(" ".join(answer["error"].split())[:200])
        return answer


@contextmanager
def engines(log: Path) -> Iterator[Engines]:
    """The process, for the length of the block; what vLLM logs goes to a file."""
    # Set before the import: vLLM reads some of it then.
    quiet = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "OMP_NUM_THREADS": "1", "VLLM_LOGGING_COLOR": "0"}
    with log.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-P", str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            env={**os.environ, **quiet},
        )
        try:
            yield Engines(process)
        finally:
            process.kill()
            process.communicate()
