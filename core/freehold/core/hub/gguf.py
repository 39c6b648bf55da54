"""GGUF import: dequantize to bfloat16 safetensors that transformers and vLLM open, and check what must survive."""

import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from freehold.core.errors import EnvironmentProblem, IntegrityError, RefusedError
from freehold.core.store.lineage import Step

CONTROL_TOKEN = 3
"""`tokenizer.ggml.token_type` of a control token such as an end-of-turn mark."""

# Names that llama.cpp gives to ways of cutting text before BPE (src/llama-vocab.cpp). transformers 5.19 knows the
# split expressions of most; these two groups it leaves to its default, which is right for one of them only.
PLAIN_BYTE_LEVEL = {"gpt-2", "gpt2", "default", "mpt", "olmo", "phi-2", "jais", "trillion"}
DIGIT_BY_DIGIT = {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"}

SAMPLE = "In 2024, naïve Zürich paid 1234567.89 — don't you think?\n\n\tdef f(x): return x  # 数字 🦙"


@dataclass(frozen=True)
class GgufMetadata:
    """What the file itself says; the import must agree with it."""

    architecture: str
    tokens: list[str]
    token_types: list[int]
    tokenizer_model: str
    pre_tokenizer: str
    chat_template: str | None
    special_ids: dict[str, int]
    context_tokens: int | None
    license: str


def import_gguf(source: Path, target: Path, *, allow_unverified_tokenizer: bool = False) -> tuple[Step, str]:
    """Write a Hugging Face folder to `target`; returns the lineage step and the licence that the file states.

    Raises IntegrityError (tokenizer or chat template did not survive), RefusedError (unknown pre-tokenizer),
    EnvironmentProblem (no torch or transformers).
    """
    metadata = read_metadata(source)
    known = _pre_tokenizer_is_known(metadata)
    if not known and not allow_unverified_tokenizer:
        raise RefusedError(
            f"{source.name} cuts text by a pre-tokenizer named {metadata.pre_tokenizer!r}",
            why="neither transformers nor Freehold knows it, so the import might read text otherwise than the model",
            next_step="Pull the model's safetensors repository, or add --allow-unverified-tokenizer.",
        )
    _convert(source, target, metadata)
    check_import(target, metadata)
    parameters = {"file": source.name, "dtype": "bfloat16", "pre_tokenizer_verified": known}
    versions = {name: version(name) for name in ("transformers", "torch", "gguf")}
    return Step(name="gguf-import", parameters=parameters, versions=versions), metadata.license


def read_metadata(source: Path) -> GgufMetadata:
    """Read a GGUF header. Raises IntegrityError if the file is no GGUF."""
    try:
        from gguf import GGUFReader
    except ImportError as error:
        raise _missing("gguf") from error
    try:
        fields = GGUFReader(source).fields
    except (ValueError, IndexError, OSError) as error:
        raise IntegrityError(
            f"{source} is no readable GGUF file", why=str(error), next_step="Fetch it again, or name another file."
        ) from error

    def value(key: str, default: Any = None) -> Any:
        return fields[key].contents() if key in fields else default

    architecture = value("general.architecture", "")
    names = {"bos": "bos_token", "eos": "eos_token", "unknown": "unk_token", "padding": "pad_token"}
    special = {token: value(f"tokenizer.ggml.{name}_token_id") for name, token in names.items()}
    return GgufMetadata(
        architecture=architecture,
        tokens=value("tokenizer.ggml.tokens", []),
        token_types=value("tokenizer.ggml.token_type", []),
        tokenizer_model=value("tokenizer.ggml.model", ""),
        pre_tokenizer=value("tokenizer.ggml.pre", "default"),
        chat_template=value("tokenizer.chat_template"),
        special_ids={token: index for token, index in special.items() if index is not None},
        context_tokens=value(f"{architecture}.context_length"),
        license=value("general.license", ""),
    )


def check_import(folder: Path, metadata: GgufMetadata) -> None:
    """Compare the imported tokenizer and template with the file. Raises IntegrityError listing every difference."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    problems = []
    vocabulary = {index: token for token, index in tokenizer.get_vocab().items()}
    moved = [index for index, token in enumerate(metadata.tokens) if vocabulary.get(index) != token]
    if moved:
        first = moved[0]
        problems.append(
            f"{len(moved)} of {len(metadata.tokens)} tokens differ, first id {first}: "
            f"{vocabulary.get(first)!r} instead of {metadata.tokens[first]!r}"
        )
    for name, index in metadata.special_ids.items():
        if getattr(tokenizer, f"{name}_id") != index:
            problems.append(f"{name} is id {getattr(tokenizer, f'{name}_id')} instead of {index}")
    if (tokenizer.chat_template or None) != metadata.chat_template:
        problems.append("the chat template differs")
    for index, kind in enumerate(metadata.token_types):
        token = metadata.tokens[index]
        if kind == CONTROL_TOKEN and tokenizer.encode(token, add_special_tokens=False) != [index]:
            problems.append(f"control token {token!r} no longer encodes to its id {index}")
            break
    if tokenizer.decode(tokenizer.encode(SAMPLE, add_special_tokens=False)) != SAMPLE:
        problems.append("a sample text does not survive encoding and decoding")
    if problems:
        raise IntegrityError(
            "The tokenizer did not survive the GGUF import",
            why="; ".join(problems),
            next_step="Pull the model's safetensors repository instead, and report this file.",
        )


def _convert(source: Path, target: Path, metadata: GgufMetadata) -> None:
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    except ImportError as error:
        raise _missing(error.name or "transformers") from error
    config = GgufConfig(gguf_file=source.name, dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(
        source.parent, gguf_file=source.name, quantization_config=config, dtype=torch.bfloat16
    )
    model.save_pretrained(target)
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    if metadata.pre_tokenizer in DIGIT_BY_DIGIT:
        from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence

        tokenizer.backend_tokenizer.pre_tokenizer = Sequence(
            [Digits(individual_digits=True), ByteLevel(add_prefix_space=False, use_regex=True)]
        )
    if metadata.context_tokens:
        tokenizer.model_max_length = metadata.context_tokens
    tokenizer.save_pretrained(target)
    _forget_local_origin(target / "tokenizer_config.json")


def _forget_local_origin(path: Path) -> None:
    # transformers 5.19 saves how the tokenizer was loaded; loaders elsewhere would take it as theirs.
    config = json.loads(path.read_bytes())
    for key in ("is_local", "local_files_only"):
        config.pop(key, None)
    path.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n")


def _pre_tokenizer_is_known(metadata: GgufMetadata) -> bool:
    if metadata.tokenizer_model != "gpt2":
        return True  # sentencepiece and unigram files carry all that their tokenizer needs
    try:
        from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS
    except ImportError as error:
        raise _missing(error.name or "transformers") from error
    return metadata.pre_tokenizer in PLAIN_BYTE_LEVEL | DIGIT_BY_DIGIT | GGUF_PRE_TOKENIZER_SPLITS.keys()


def _missing(package: str) -> EnvironmentProblem:
    return EnvironmentProblem(
        "A GGUF file cannot be imported here",
        why=f"{package} is not installed",
        next_step="Run `pip install 'freehold[train]'`.",
    )
