"""The reference: greedy continuations of the fixed prompts by transformers in float32, with log-probabilities."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from freehold.core.errors import EnvironmentProblem, RefusedError
from freehold.core.memory import free_memory
from freehold.core.model.loading import whole_class
from freehold.core.probe.prompts import POSITIONS, PROMPTS, TOP, FixedPrompt
from freehold.core.progress import human_bytes
from freehold.core.store.lineage import ProbeReference, PromptProbe, TokenProbe

FLOAT32_BYTES = 4
HEADROOM = 1.25
"""Peak memory over the weights' own size while a checkpoint is loaded."""


def try_probe_reference(folder: Path, *, allow_remote_code: bool = False) -> ProbeReference:
    """Like `probe_reference`; a machine or model that does not allow it gives a reference that says why."""
    try:
        return probe_reference(folder, allow_remote_code=allow_remote_code)
    except EnvironmentProblem as error:
        return ProbeReference(status="not-computed", reason=str(error))


def probe_reference(folder: Path, *, allow_remote_code: bool = False) -> ProbeReference:
    """Compute the reference of the model in `folder`.

    Raises EnvironmentProblem: no torch here, not enough memory, or not a causal language model.
    """
    try:
        import torch
        import transformers
    except ImportError as error:
        raise EnvironmentProblem(
            "No golden-probe reference",
            why=f"{error.name} is not installed",
            next_step="Run `pip install 'freehold[train]'`, then `freehold store probe ARTIFACT`.",
        ) from error
    _check_is_causal(folder)
    loader = getattr(transformers, _class_of(folder, allow_remote_code))
    _check_memory(folder)
    known = {"local_files_only": True, "trust_remote_code": allow_remote_code}
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **known)
    model = loader.from_pretrained(folder, dtype=torch.float32, **known).eval()
    prompts = [prompt for prompt in PROMPTS if not prompt.is_chat or tokenizer.chat_template]
    with torch.inference_mode():
        probes = tuple(_probe(model, tokenizer, prompt) for prompt in prompts)
    versions = {name: version(name) for name in ("transformers", "torch")}
    return ProbeReference(status="computed", versions=versions, prompts=probes)


def _probe(model: Any, tokenizer: Any, prompt: FixedPrompt) -> PromptProbe:
    messages = ({"role": "user", "content": prompt.text},) if prompt.is_chat else None
    if messages:
        rendered = tokenizer.apply_chat_template(
            list(messages), add_generation_prompt=True, tokenize=True, return_dict=False
        )
        token_ids = [int(token) for token in rendered]
    else:
        token_ids = tokenizer.encode(prompt.text)
    return PromptProbe(
        name=prompt.name,
        messages=messages,
        prompt_token_ids=tuple(token_ids),
        positions=tuple(_continue(model, token_ids)),
    )


def _continue(model: Any, prompt_token_ids: list[int]) -> list[TokenProbe]:
    """Greedy tokens without a cache: eight short forward passes, and no cache to be wrong about."""
    import torch

    token_ids = list(prompt_token_ids)
    positions = []
    for _ in range(POSITIONS):
        logits = model(torch.tensor([token_ids], device=model.device), use_cache=False).logits[0, -1]
        top = torch.log_softmax(logits.double(), dim=-1).topk(TOP)
        pairs = zip(top.indices.tolist(), top.values.tolist(), strict=True)
        positions.append(TokenProbe(token_id=int(top.indices[0]), top={i: round(p, 6) for i, p in pairs}))
        token_ids.append(positions[-1].token_id)
    return positions


def _check_is_causal(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_bytes()) if (folder / "config.json").is_file() else {}
    architectures = config.get("architectures") or []
    if config.get("is_encoder_decoder"):
        raise EnvironmentProblem(
            "No golden-probe reference",
            why=f"it asks for the continuation of a text, and {architectures} continues none: it answers to what its "
            "encoder was given",
            next_step="Serve it with `engine: {probe: off}`.",
        )
    if not any(name.endswith(("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")) for name in architectures):
        raise EnvironmentProblem(
            "No golden-probe reference",
            why=f"it compares generated tokens, and {architectures or 'this folder'} is no causal language model",
            next_step="Serve it with `engine: {probe: off}`.",
        )


def _class_of(folder: Path, allow_remote_code: bool) -> str:
    """Name of the class that loads the model, towers for other senses included."""
    try:
        return whole_class(folder, remote_code=allow_remote_code)
    except (ValueError, RefusedError) as error:
        raise EnvironmentProblem(
            "No golden-probe reference",
            why=str(error).splitlines()[0][:200],
            next_step="Serve it with `engine: {probe: off}`, or with a newer transformers run `freehold store probe`.",
        ) from error


def _check_memory(folder: Path) -> None:
    parameters = sum(_parameters(path) for path in folder.glob("*.safetensors"))
    needed, available = int(parameters * FLOAT32_BYTES * HEADROOM), free_memory("cpu")
    if needed > available:
        raise EnvironmentProblem(
            "No golden-probe reference",
            why=f"float32 on this machine needs {human_bytes(needed)}, {human_bytes(available)} are free",
            next_step="Run `freehold store probe ARTIFACT` where it fits, or serve with `engine: {probe: off}`.",
        )


def _parameters(path: Path) -> int:
    """Number of values in a safetensors file, from its header alone."""
    with path.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    shapes = (entry["shape"] for name, entry in header.items() if name != "__metadata__")
    return sum(_product(shape) for shape in shapes)


def _product(shape: list[int]) -> int:
    result = 1
    for size in shape:
        result *= size
    return result
