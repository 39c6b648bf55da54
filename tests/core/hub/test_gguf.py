"""GGUF import: a tiny real file, written by the gguf package, with planted differences."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from freehold.core.errors import IntegrityError, RefusedError
from freehold.core.hub.gguf import GgufMetadata, check_import, import_gguf, read_metadata
from freehold.core.quiet import quiet_libraries

TEMPLATE = "{% for m in messages %}<|start|>{{ m['content'] }}<|end|>{% endfor %}"
HIDDEN, HEADS, FEED_FORWARD = 32, 4, 64


def _byte_alphabet() -> list[str]:
    from tokenizers.pre_tokenizers import ByteLevel

    return sorted(ByteLevel.alphabet())


def write_gguf(path: Path, *, pre_tokenizer: str = "smollm") -> Path:
    """A random one-layer Llama in float32 with a byte-level vocabulary."""
    import gguf
    import numpy as np

    tokens = ["<|end|>", "<|start|>", *_byte_alphabet(), "12", "th"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_block_count(1)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_license("apache-2.0")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre_tokenizer)
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, *[1] * (len(tokens) - 2)])
    writer.add_token_merges(["1 2", "t h"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(0)
    writer.add_pad_token_id(0)
    writer.add_chat_template(TEMPLATE)
    random = np.random.default_rng(0)
    shapes = {
        "token_embd": (len(tokens), HIDDEN),
        "output_norm": (HIDDEN,),
        "output": (len(tokens), HIDDEN),
        "blk.0.attn_norm": (HIDDEN,),
        "blk.0.ffn_norm": (HIDDEN,),
        **{f"blk.0.attn_{name}": (HIDDEN, HIDDEN) for name in ("q", "k", "v", "output")},
        "blk.0.ffn_gate": (FEED_FORWARD, HIDDEN),
        "blk.0.ffn_up": (FEED_FORWARD, HIDDEN),
        "blk.0.ffn_down": (HIDDEN, FEED_FORWARD),
    }
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", random.normal(size=shape, scale=0.1).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, GgufMetadata]:
    folder = tmp_path_factory.mktemp("gguf")
    source = write_gguf(folder / "tiny.gguf")
    with quiet_libraries():
        import_gguf(source, folder / "out")
    return folder / "out", read_metadata(source)


@pytest.mark.slow
def test_the_import_opens_with_template_and_digits(imported: tuple[Path, GgufMetadata]) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, metadata = imported
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False) == "<|start|>hi<|end|>"
    # The vocabulary has a token for 12, yet this pre-tokenizer cuts every digit: the model never saw it so.
    assert tokenizer.tokenize("12 th") == ["1", "2", "Ġ", "th"]
    assert AutoModelForCausalLM.from_pretrained(folder).config.vocab_size == len(metadata.tokens)
    assert metadata.license == "apache-2.0"


def _swap_tokens(metadata: GgufMetadata) -> dict[str, Any]:
    tokens = list(metadata.tokens)
    tokens[5], tokens[6] = tokens[6], tokens[5]
    return {"tokens": tokens}


@pytest.mark.parametrize(
    ("planted", "message"),
    [
        (_swap_tokens, "2 of 260 tokens differ, first id 5"),
        (lambda _: {"chat_template": TEMPLATE + " "}, "the chat template differs"),
        (lambda _: {"special_ids": {"eos_token": 1}}, "eos_token is id 0 instead of 1"),
        (lambda m: {"token_types": [*m.token_types[:-2], 3, 1]}, "control token '12' no longer"),
    ],
)
def test_a_tokenizer_that_did_not_survive_is_refused(
    imported: tuple[Path, GgufMetadata], planted: Any, message: str
) -> None:
    folder, metadata = imported
    check_import(folder, metadata)
    with pytest.raises(IntegrityError, match=message):
        check_import(folder, replace(metadata, **planted(metadata)))


def test_an_unknown_pre_tokenizer_is_refused_with_the_flag(tmp_path: Path) -> None:
    source = write_gguf(tmp_path / "odd.gguf", pre_tokenizer="from-the-future")
    with pytest.raises(RefusedError, match="'from-the-future'") as caught:
        import_gguf(source, tmp_path / "out")
    assert "--allow-unverified-tokenizer" in caught.value.next_step


def test_a_file_that_is_no_gguf_is_an_integrity_error(tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"not a gguf file at all" * 10)
    with pytest.raises(IntegrityError, match="no readable GGUF"):
        read_metadata(tmp_path / "bad.gguf")
