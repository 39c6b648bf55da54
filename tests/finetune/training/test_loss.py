"""The loss over learnt tokens alone equals the one over everything; packed equals padded."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from freehold.core.errors import UserError
from freehold.finetune.training.collating import IGNORED, PackingCollator, PaddingCollator
from freehold.finetune.training.first_step import check_kept_apart
from freehold.finetune.training.learnt_positions import summed_loss, token_count
from freehold.finetune.training.rows import Column, Rows
from freehold.finetune.training.sft_trainer import output_head


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()


def _rows() -> Rows:
    random = np.random.default_rng(5)
    lengths = (17, 9, 30, 4, 12)
    return Rows(
        {
            "input_ids": Column.of(random.integers(5, 300, size=length) for length in lengths),
            "trained": Column.of(random.integers(0, 2, size=length) for length in lengths),
        }
    )


ROWS = _rows()


def _naive(model: Any, row: int) -> torch.Tensor:
    """By transformers' own loss, over all positions, one example at a time."""
    tokens = torch.tensor(ROWS[row]["input_ids"][None].astype(np.int64))
    labels = torch.where(torch.tensor(ROWS[row]["trained"][None]) == 1, tokens, IGNORED)
    logits = model(input_ids=tokens).logits[0, :-1]
    return torch.nn.functional.cross_entropy(logits, labels[0, 1:], ignore_index=IGNORED, reduction="sum")


@pytest.mark.parametrize("collate", [PaddingCollator(0), PackingCollator(0)], ids=["padded", "packed"])
def test_the_loss_of_a_batch_is_that_of_its_examples(model: Any, collate: Any) -> None:
    inputs = collate([ROWS[row] for row in range(len(ROWS))])
    with torch.inference_mode():
        found = summed_loss(model, output_head(model), inputs)
        expected = sum(_naive(model, row) for row in range(len(ROWS)))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-5)
    assert int(token_count(inputs["labels"])) == sum(int(row["trained"][1:].sum()) for row in ROWS)
    assert collate.tokens_seen == 72


@pytest.mark.parametrize("row", range(len(ROWS)))
def test_an_example_loses_the_same_packed_and_alone(model: Any, row: int) -> None:
    """All but one example of the packed batch are blanked out, so that a neighbour's influence would show."""
    batch = [
        {"input_ids": each["input_ids"], "trained": each["trained"] * (index == row)} for index, each in enumerate(ROWS)
    ]
    with torch.inference_mode():
        packed = summed_loss(model, output_head(model), PackingCollator(0)(batch))
        torch.testing.assert_close(packed, _naive(model, row), rtol=1e-5, atol=1e-5)


def test_packing_fills_lines_no_longer_than_the_longest_example() -> None:
    inputs = PackingCollator(0)([ROWS[row] for row in range(len(ROWS))])
    assert inputs["input_ids"].shape == (3, 30)  # 30 · 17+12 · 9+4
    assert (inputs["position_ids"] == 0).sum() == 5 + 1 + 17  # a start each, and padding


def test_gradients_reach_what_is_below_the_head(model: Any) -> None:
    inputs = PaddingCollator(0)([ROWS[0]])
    layer = model.model.layers[0].mlp.up_proj.weight
    (found,) = torch.autograd.grad(summed_loss(model, output_head(model), inputs), layer)
    (expected,) = torch.autograd.grad(_naive(model, 0), layer)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_a_batch_with_nothing_to_learn_has_no_loss(model: Any) -> None:
    blank = {"input_ids": np.array([7], dtype=np.int32), "trained": np.zeros(1, dtype=np.int32)}
    loss = summed_loss(model, output_head(model), PaddingCollator(0)([blank, blank]))
    loss.backward()
    assert loss.item() == 0.0
    model.zero_grad()


def test_the_first_token_of_an_example_is_never_learnt() -> None:
    rows = [{"input_ids": np.arange(1, 4, dtype=np.int32), "trained": np.ones(3, dtype=np.int32)}] * 2
    for collate in (PaddingCollator(0), PackingCollator(0)):
        labels = collate(rows)["labels"]
        assert labels.ne(IGNORED).sum() == 4
        assert not labels.eq(1).any()


def test_a_model_that_keeps_packed_examples_apart_passes(model: Any) -> None:
    check_kept_apart(model, ROWS, 0, autocast=False)


def test_packing_with_a_recurrent_model_is_refused() -> None:
    from transformers import MambaConfig, MambaForCausalLM

    torch.manual_seed(0)
    recurrent = MambaForCausalLM(
        MambaConfig(vocab_size=320, hidden_size=32, num_hidden_layers=2, state_size=8, initializer_range=0.5)
    )
    with pytest.raises(UserError, match="packing") as refused:
        check_kept_apart(recurrent, ROWS, 0, autocast=False)
    assert "see each other" in refused.value.why
