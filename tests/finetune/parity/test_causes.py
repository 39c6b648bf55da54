"""The cause is named from the files, before or after anything is served."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fixtures.trained import (
    LINEAR,
    Recipe,
    add_adapter,
    add_base,
    add_merged,
    change_json,
    change_weights,
    drop,
    permute_rows,
    rename,
    replace_first,
)

from freehold.core.adapters.reference import read_parity
from freehold.core.store import Artifact, Store
from freehold.finetune.parity.causes import Judged, load_causes, obstacles, reasons
from freehold.finetune.parity.compare import compare, limits_for
from freehold.finetune.parity.measure import ServedAnswer

Files = dict[str, bytes]
PREFIX = "base_model.model."


def _judged(artifact: Artifact, base: Artifact) -> Judged:
    reference = read_parity(artifact.path)
    assert reference is not None
    return Judged(artifact, base, reference, str)


@pytest.fixture(scope="module")
def made(shelf: Store, base: Artifact, scratch: Path) -> Callable[[str, Callable[[Files], None]], Judged]:
    """Makes an adapter with something wrong in its files."""
    return lambda name, wrong: _judged(add_adapter(shelf, base, name, scratch, Recipe(break_files=wrong)), base)


Made = Callable[[str, Callable[[Files], None]], Judged]


@pytest.mark.slow
def test_nothing_is_wrong_with_an_honest_adapter(made: Made) -> None:
    honest = made("honest", lambda files: None)
    assert (obstacles(honest), load_causes(honest)) == ([], [])


@pytest.mark.parametrize(
    ("new", "found"),
    [(PREFIX, PREFIX), ("model.", "model."), (f"{PREFIX}{PREFIX}model.", f"{PREFIX}{PREFIX}model.")],
    ids=["a level is missing", "without peft's own", "twice"],
)
def test_a_wrong_prefix_is_told_with_the_right_one(made: Made, new: str, found: str) -> None:
    (cause,) = load_causes(made("prefix", rename(f"{PREFIX}model.", new)))
    assert cause.startswith("wrong keys: none of its 14 updated modules")
    assert "the base wants `base_model.model." in cause


def test_a_prefix_of_another_family_is_shown_as_it_is(made: Made) -> None:
    (cause,) = load_causes(made("family", rename(f"{PREFIX}model.layers", f"{PREFIX}transformer.h")))
    assert "the keys begin with `base_model.model.transformer.h.`" in cause
    assert "the base wants `base_model.model.model.layers.`" in cause


def test_a_lost_module_is_named(made: Made) -> None:
    (cause,) = load_causes(made("lost", drop("layers.1.mlp.down_proj")))
    assert cause.startswith("missing module: `target_modules` names down_proj")
    assert "1 of these modules: model.layers.1.mlp.down_proj" in cause


def test_a_lost_module_is_a_reason_even_where_rounding_would_hide_it(made: Made) -> None:
    lost = made("lost", drop("layers.1.mlp.down_proj"))
    answers = [
        ServedAnswer(
            prompt.prompt_token_ids,
            prompt.continuation,
            tuple(position.tuned for position in prompt.positions),
            tuple(position.base for position in prompt.positions),
        )
        for prompt in lost.reference.prompts
    ]
    agreeing = compare(lost.reference, answers)
    limits = limits_for(lost.reference, agreeing.base, quantized_online=False)
    (reason,) = reasons(lost, agreeing, limits)
    assert reason.startswith("missing module: `target_modules` names down_proj")
    assert reasons(made("honest", lambda files: None), agreeing, limits) == []


def test_updates_that_the_base_has_no_module_for_are_named(made: Made) -> None:
    causes = load_causes(made("ghost", rename("layers.1.mlp.up_proj", "layers.7.mlp.up_proj")))
    assert [cause.partition(":")[0] for cause in causes] == ["missing module", "wrong keys"]
    assert "the base has no base_model.model.model.layers.7.mlp.up_proj" in causes[1]


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        (change_json("adapter_config.json", r=1024), "`r` is 1024, above the engine's `--max-lora-rank`"),
        (change_json("adapter_config.json", use_dora=True), "DoRA"),
        (change_json("parity.json", base_digest="f" * 64), "another base: it was trained on"),
        (replace_first(float("nan")), "holds NaN"),
        (
            change_weights(lambda all_: {k: torch.zeros_like(t) if "_B" in k else t for k, t in all_.items()}),
            "every update in it is zero",
        ),
    ],
)
def test_what_cannot_agree_is_told_before_anything_is_served(
    made: Made, wrong: Callable[[Files], None], cause: str
) -> None:
    (found,) = obstacles(made("hopeless", wrong))
    assert cause in found


def test_the_engines_own_maximum_counts(made: Made) -> None:
    adapter = made("honest", lambda files: None)
    assert obstacles(adapter, max_rank=8) == []
    (found,) = obstacles(adapter, max_rank=1)
    assert "`r` is 8, above the engine's `--max-lora-rank` of 1" in found


def test_another_model_than_the_trainers_is_told_by_its_content(made: Made, shelf: Store, tiny_model: Path) -> None:
    other = add_base(shelf, tiny_model, "other-name")
    adapter = made("honest", lambda files: None)
    same = Judged(adapter.artifact, other, adapter.reference, str)
    assert obstacles(same) == [], "a second pull under another name is the same model"


@pytest.mark.slow
def test_shuffled_rows_of_a_merged_model_are_named(shelf: Store, base: Artifact, scratch: Path) -> None:
    name = "model.layers.1.mlp.down_proj.weight"
    merged = _judged(add_merged(shelf, base, "scrambled", scratch, permute_rows(name)), base)
    assert obstacles(merged) == []
    (cause,) = load_causes(merged)
    assert cause.startswith(f"wrong merge: {name} cannot be the base's plus an adapter's update")


def test_a_tensor_that_a_merge_lost_is_named(shelf: Store, base: Artifact, scratch: Path) -> None:
    merged = add_merged(shelf, base, "lossy", scratch, lambda weights: weights.pop("model.norm.weight"))  # type: ignore[arg-type, return-value]
    assert load_causes(_judged(merged, base)) == [
        "wrong merge: the merged model lacks model.norm.weight, which the base has"
    ]


def test_an_honest_merge_has_no_cause(shelf: Store, base: Artifact, scratch: Path) -> None:
    merged = add_merged(shelf, base, "merged", scratch, lambda weights: None)
    assert load_causes(_judged(merged, base)) == []
    assert len(LINEAR) == 7
