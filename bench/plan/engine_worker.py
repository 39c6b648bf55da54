"""Real engines, one after the other: `PYTHON engine_worker.py`, a JSON line on stdin for each, one on stdout.

vLLM is imported once; each job runs in a fork of its own, so that what one model breaks no other sees. It runs in the
engine's environment and imports nothing of Freehold.
"""

import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

LIMIT_S = 300


def main() -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # vLLM logs to stdout
    import torch  # noqa: F401
    from vllm.engine.arg_utils import EngineArgs  # noqa: F401
    from vllm.v1.engine.llm_engine import LLMEngine  # noqa: F401

    for line in sys.stdin:
        print(json.dumps(_forked(json.loads(line))), file=out, flush=True)


def _forked(job: dict[str, Any]) -> dict[str, Any]:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        signal.alarm(LIMIT_S)
        os.setpgid(0, 0)
        try:
            answer = _answer(job)
        except BaseException as error:  # noqa: BLE001  (the message is the result)
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}" if str(error) else _place(error)}
        with os.fdopen(writing, "w") as told:
            json.dump(answer, told)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as said:
        text = said.read()
    os.waitpid(child, 0)
    return dict(json.loads(text)) if text else {"error": "the engine died"}


def _place(error: BaseException) -> str:
    """What it is and where it was raised, for one that says nothing."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(last.filename).name}: {last.line}"


def _answer(job: dict[str, Any]) -> dict[str, Any]:
    os.environ.update(job["env"])
    from vllm import SamplingParams
    from vllm.engine.arg_utils import EngineArgs
    from vllm.lora.request import LoRARequest
    from vllm.v1.engine.llm_engine import LLMEngine

    loaded: dict[str, int] = {}
    _count_weights(loaded)
    engine = LLMEngine.from_engine_args(EngineArgs.from_cli_args(_parsed(job["arguments"])))
    adapter = LoRARequest("adapter", 1, job["adapter"]) if job.get("adapter") else None
    asked = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0)
    told: dict[str, dict[str, list[list[float]]]] = {}
    for who, request in (("base", None), *((("adapter", adapter),) if adapter else ())):
        for number, prompt in enumerate(job["prompts"]):
            engine.add_request(f"{who}-{number}", {"prompt_token_ids": prompt}, asked, lora_request=request)
            told.setdefault(who, {})[str(number)] = _finished(engine)
    answers = {who: [found[str(n)] for n in range(len(job["prompts"]))] for who, found in told.items()}
    memory = {**loaded, **_cache(engine), **_of_gpu()}
    return {**answers, "memory": memory, "speed": _timed(engine, job["timed"]) if job.get("timed") else None}


def _of_gpu() -> dict[str, int]:
    """Bytes taken of the GPU beside weights and cache, at the peak so far; nothing without one."""
    import torch

    if not torch.cuda.is_available():
        return {}
    free, whole = torch.cuda.mem_get_info()
    return {
        "gpu_peak_bytes": torch.cuda.max_memory_allocated(),
        "gpu_beside_torch_bytes": whole - free - torch.cuda.memory_reserved(),
    }


def _timed(engine: Any, load: dict[str, int]) -> dict[str, float]:
    """Seconds to the first token of all prompts together, and from there to the last of all answers."""
    import time

    from vllm import SamplingParams

    words = range(10, 10 + load["prompt_tokens"])
    wanted = SamplingParams(max_tokens=load["output_tokens"], ignore_eos=True, temperature=0.0)
    for number in range(load["sequences"]):
        prompt = [(word * (number + 3)) % 250 + 5 for word in words]
        engine.add_request(f"timed-{number}", {"prompt_token_ids": prompt}, wanted)
    begun, first, reached = time.perf_counter(), 0.0, 0
    while engine.has_unfinished_requests():
        for output in engine.step():
            if len(output.outputs[0].token_ids) == 1:
                reached += 1
                first = time.perf_counter() - begun if reached == load["sequences"] else first
    return {"first_s": first, "rest_s": time.perf_counter() - begun - first}


def _count_weights(found: dict[str, int]) -> None:
    """Bytes of the parameters as they were loaded: on a CPU vLLM packs them into others afterwards."""
    from vllm.model_executor.model_loader import base_loader

    process = base_loader.process_weights_after_loading

    def counted(model: Any, *arguments: Any) -> None:
        found["weight_bytes"] = sum(each.numel() * each.element_size() for each in model.parameters())
        process(model, *arguments)

    base_loader.process_weights_after_loading = counted


def _cache(engine: Any) -> dict[str, Any]:
    """How many sequences of the whole context vLLM says it can hold, and of how many bytes."""
    from vllm.v1.core.kv_cache_utils import get_max_concurrency_for_kv_cache_config

    config, found = engine.vllm_config, engine.engine_core.engine_core.scheduler.kv_cache_config
    return {
        "concurrency": get_max_concurrency_for_kv_cache_config(config, found),
        # Layers of several kinds overlay each other in one allocation.
        "cache_bytes": max(each.size for each in found.kv_cache_tensors),
        "in_flight": config.max_in_flight_tokens,
        "block": config.cache_config.block_size,
        "context": config.model_config.max_model_len,
        "number_bytes": config.model_config.dtype.itemsize,
    }


def _finished(engine: Any) -> Any:
    while engine.has_unfinished_requests():
        for output in engine.step():
            if output.finished:
                return [next(iter(each.values())).logprob for each in output.prompt_logprobs[1:]]
    raise RuntimeError("the engine answered nothing")


def _parsed(arguments: list[str]) -> Any:
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    try:
        from vllm.entrypoints.launchers.cli_args import make_arg_parser
    except ImportError:  # before 0.32
        from vllm.entrypoints.openai.cli_args import make_arg_parser
    return make_arg_parser(FlexibleArgumentParser()).parse_args(arguments)


if __name__ == "__main__":
    main()
