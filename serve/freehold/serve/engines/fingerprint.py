"""`system_fingerprint`: one id for everything that decides what a model answers."""

import hashlib
import json

from freehold.core.store import Artifact
from freehold.serve.config import RayEngine, VllmEngine


def system_fingerprint(
    artifact: Artifact, config: VllmEngine, engine_version: str, max_lora_rank: int | None = None
) -> str:
    """`fh-` and 16 hex digits over weights, tokenizer, template, sampling defaults, parsers and engine version.

    The artifact's digest covers weights, quantization, tokenizer, chat template and `generation_config.json`.
    """
    template = config.chat_template.read_bytes() if config.chat_template else b""
    parts = {
        "artifact": artifact.lineage.digest,
        "engine": engine_version,
        "dtype": config.dtype,
        "maxModelLen": config.max_model_len,
        "tensorParallel": config.tensor_parallel,
        "toolCallParser": config.tool_call_parser,
        "reasoningParser": config.reasoning_parser,
        "chatTemplate": hashlib.sha256(template).hexdigest() if template else None,
        "extraArgs": config.extra_args,
    }
    if max_lora_rank is not None:  # other kernels run, and on some machines no compiled graph
        parts["maxLoraRank"] = max_lora_rank
    if isinstance(config, RayEngine):
        parts["pipelineParallel"] = config.pipeline_parallel
    return "fh-" + hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
