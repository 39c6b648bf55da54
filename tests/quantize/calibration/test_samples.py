"""Blocks of tokens to calibrate on: one length, drawn by a seed, rendered by the model's own template."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from freehold.core.errors import ConfigError, UserError
from freehold.core.model.loading import load_tokenizer
from freehold.core.settings import Settings
from freehold.core.store import Artifact
from freehold.quantize.calibration.samples import Calibration, read_calibration


@pytest.fixture
def tokenizer(base: Artifact) -> Any:
    return load_tokenizer(base)


def chats(path: Path, count: int = 30) -> Path:
    lines = [
        {"messages": [{"role": "user", "content": f"number {n}?"}, {"role": "assistant", "content": f"It is {n}."}]}
        for n in range(count)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def read(source: Path | str, tokenizer: Any, settings: Settings, **changes: Any) -> Calibration:
    given: dict[str, Any] = {"samples": 4, "sequence_length": 32, "seed": 0} | changes
    return read_calibration([str(source)], tokenizer, settings, **given)


def test_blocks_of_one_length_in_the_models_own_words(tmp_path: Path, tokenizer: Any, settings: Settings) -> None:
    found = read(chats(tmp_path / "chats.jsonl"), tokenizer, settings)
    assert found.token_ids.shape == (4, 32) and found.token_ids.dtype == np.int64
    said = tokenizer.decode(found.token_ids.reshape(-1))
    assert "<|user|>number " in said and "<|end|><|assistant|>It is " in said
    assert found.texts[0].startswith("number ")


def test_the_seed_draws_and_repeats(tmp_path: Path, tokenizer: Any, settings: Settings) -> None:
    path = chats(tmp_path / "chats.jsonl")
    first, again, other = (read(path, tokenizer, settings, seed=seed) for seed in (1, 1, 2))
    assert (first.token_ids == again.token_ids).all()
    assert (first.token_ids != other.token_ids).any()
    assert first.digest == other.digest


def test_fewer_samples_than_asked_for_are_counted(tmp_path: Path, tokenizer: Any, settings: Settings) -> None:
    found = read(chats(tmp_path / "chats.jsonl", 5), tokenizer, settings, samples=1000)
    assert 0 < found.samples < 1000


def test_too_little_is_refused(tmp_path: Path, tokenizer: Any, settings: Settings) -> None:
    with pytest.raises(UserError, match="not enough calibration data: .* tokens do not fill one sample of 4096"):
        read(chats(tmp_path / "chats.jsonl", 2), tokenizer, settings, sequence_length=4096)


def test_bad_lines_are_refused_all_at_once(tmp_path: Path, tokenizer: Any, settings: Settings) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"messages": [{"role": "usr", "content": "x"}]}\nnot json\n')
    with pytest.raises(ConfigError, match="2 error"):
        read(path, tokenizer, settings)


def test_plain_text_and_preferences_are_calibrated_on_too(tmp_path: Path, tokenizer: Any, settings: Settings) -> None:
    text = tmp_path / "text.txt"
    text.write_text("\n\n".join("one two three four five six seven" for _ in range(20)))
    assert "one two three" in tokenizer.decode(read(text, tokenizer, settings).token_ids[0])
    pairs = tmp_path / "pairs.jsonl"
    line = {"prompt": "Which?", "chosen": "The better one of both.", "rejected": "The worse."}
    pairs.write_text(json.dumps(line) * 1 + "\n" + json.dumps(line | {"prompt": "Who?"}) + "\n")
    said = tokenizer.decode(read(pairs, tokenizer, settings, samples=1, sequence_length=16).token_ids[0])
    assert "<|user|>" in said and "worse" not in said


def test_the_neutral_text_is_enough_for_the_default(tokenizer: Any, settings: Settings) -> None:
    found = read("neutral", tokenizer, settings, samples=64, sequence_length=256)
    assert found.samples == 64 and found.sources == ("neutral",)
