"""Losses against the papers' formulas, and what training does to the odds of the answers."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from finetune.preference.conftest import PAIRS

from freehold.finetune.masking.masker import Masker
from freehold.finetune.preference.dpo import DirectPreference
from freehold.finetune.preference.kto import KahnemanTversky
from freehold.finetune.preference.orpo import OddsRatio
from freehold.finetune.recipe import Recipe
from freehold.finetune.training.objective import Objective, TrainerSetup
from freehold.finetune.training.objectives import objective_named

OBJECTIVES = [DirectPreference(), OddsRatio(), KahnemanTversky()]
Make = Callable[..., TrainerSetup]


def logps(model: Any, masker: Masker) -> torch.Tensor:
    """Summed log-probabilities of the answers to PAIRS, computed one by one; shape (3, 2), chosen first."""
    return torch.stack(
        [torch.stack([logp(model, p, answer) for answer in (g, b)]) for p, g, b in map(masker.preference, PAIRS)]
    )


def logp(model: Any, prompt: list[int], answer: list[int]) -> torch.Tensor:
    ids = torch.tensor([prompt + answer])
    with torch.no_grad():
        scores = torch.log_softmax(model(input_ids=ids).logits[0, :-1].float(), -1)
    return scores.gather(1, ids[0, 1:, None])[len(prompt) - 1 :, 0].sum()


def disturb(model: Any) -> None:
    """Make the adapter differ from the base, so that references and ratios are no longer trivial."""
    generator = torch.Generator().manual_seed(3)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)


def step_loss(trainer: Any) -> float:
    """The loss of the one optimizer step that the trainer was told to do."""
    trainer.train()
    return float(next(entry["loss"] for entry in trainer.state.log_history if "loss" in entry))


def test_the_loss_of_dpo_is_that_of_the_paper_with_the_base_as_reference(make_setup: Make, masker: Masker) -> None:
    setup = make_setup(DirectPreference(), batch=3, micro=3, preference_beta=0.3)
    disturb(setup.model)
    policy = logps(setup.model, masker)
    with setup.model.disable_adapter():
        reference = logps(setup.model, masker)
    ratios = (policy - reference)[:, 0] - (policy - reference)[:, 1]
    expected = -torch.nn.functional.logsigmoid(0.3 * ratios).mean()
    assert abs(float(expected) - 0.6931) > 1e-3  # else the reference might as well be the policy

    assert step_loss(DirectPreference().trainer(setup)) == pytest.approx(float(expected), abs=1e-5)


def test_the_loss_of_orpo_is_on_answers_alone(make_setup: Make, masker: Masker) -> None:
    setup = make_setup(OddsRatio(), batch=3, micro=3, preference_beta=0.5)
    disturb(setup.model)
    lengths = torch.tensor([[len(g), len(b)] for _, g, b in map(masker.preference, PAIRS)])
    mean = logps(setup.model, masker) / lengths
    odds = mean - torch.log1p(-torch.exp(mean))
    expected = (-mean[:, 0] - 0.5 * torch.nn.functional.logsigmoid(odds[:, 0] - odds[:, 1])).mean()

    assert step_loss(OddsRatio().trainer(setup)) == pytest.approx(float(expected), abs=1e-5)


def test_the_loss_of_kto_is_that_of_the_paper(make_setup: Make, masker: Masker) -> None:
    setup = make_setup(KahnemanTversky(), batch=6, micro=6, preference_beta=0.3)
    disturb(setup.model)
    rows = [setup.train[index] for index in range(6)]

    def ratios(column: str) -> torch.Tensor:
        pairs = [(row["prompt_ids"].tolist(), row[column].tolist()) for row in rows]
        policy = torch.stack([logp(setup.model, *pair) for pair in pairs])
        with setup.model.disable_adapter():
            return policy - torch.stack([logp(setup.model, *pair) for pair in pairs])

    far = ratios("kl_ids").mean().clamp(min=0)
    sign = torch.tensor([1.0 if row["label"][0] else -1.0 for row in rows])
    expected = (1 - torch.sigmoid(0.3 * sign * (ratios("completion_ids") - far))).mean()

    assert step_loss(KahnemanTversky().trainer(setup)) == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.name)
@pytest.mark.slow
def test_training_raises_the_chosen_over_the_rejected_answers(
    objective: Objective, make_setup: Make, masker: Masker
) -> None:
    # The longer an answer, the more its sum gains from learning any text at all: compare means where ORPO does.
    lengths = torch.tensor([[len(g), len(b)] for _, g, b in map(masker.preference, PAIRS)])
    scale = lengths if objective.name == "orpo" else 1
    setup = make_setup(objective, steps=15, preference_beta=1.0 if objective.name == "orpo" else 0.1)
    before = logps(setup.model, masker) / scale
    trainer = objective.trainer(setup)
    trainer.train()
    after = logps(trainer.model, masker) / scale

    margins = (after[:, 0] - after[:, 1]) - (before[:, 0] - before[:, 1])
    assert (margins > 0.2).all(), margins


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.name)
def test_the_micro_batch_changes_nothing(objective: Objective, make_setup: Make) -> None:
    """Three or six rows in a step of eight: the others are blank, and fall on other micro batches each time."""

    def change(micro: int) -> dict[str, torch.Tensor]:
        setup = make_setup(objective, batch=8, micro=micro)
        setup.arguments.update(optim="sgd", learning_rate=1.0)
        if objective.name != "kto":  # its estimate of the distance from the base is by micro batch, and 0 at the start
            disturb(setup.model)
        trainer = objective.trainer(setup)
        learnt = {name: value for name, value in trainer.model.named_parameters() if "lora_B" in name}
        before = {name: value.detach().clone() for name, value in learnt.items()}
        trainer.train()
        return {name: value.detach() - before[name] for name, value in learnt.items()}

    whole, parts = change(8), change(1)
    largest = max(float(value.abs().max()) for value in whole.values())
    assert largest > 1e-4
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, atol=largest / 1000, rtol=0, msg=name)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.name)
def test_one_adapter_is_left_and_it_is_float32(objective: Objective, make_setup: Make) -> None:
    trainer = objective.trainer(make_setup(objective))

    assert list(trainer.model.peft_config) == ["default"]
    assert {parameter.dtype for parameter in trainer.model.parameters() if parameter.requires_grad} == {torch.float32}


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.name)
def test_nothing_is_told_to_anybody(objective: Objective, make_setup: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from trl.trainer import base_trainer

    def tell(*_: Any, **__: Any) -> None:
        raise AssertionError("telemetry was sent")

    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(base_trainer, "send_telemetry", tell)

    objective.trainer(make_setup(objective))


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.name)
def test_evaluation_gives_a_loss_and_margins(objective: Objective, make_setup: Make) -> None:
    trainer = objective.trainer(make_setup(objective, evaluate=True))
    disturb(trainer.model)

    metrics = trainer.evaluate()

    assert metrics["eval_loss"] > 0
    assert any("eval_rewards/margins" in entry for entry in trainer.state.log_history)


@pytest.mark.parametrize("objective", ["dpo", "kto"])
def test_an_adapter_that_starts_by_changing_the_base_has_no_reference(objective: str) -> None:
    recipe = {"model": "m", "data": {"train": ["f"]}, "output": {"merge": True}, "lora": {"init": "pissa"}}

    Recipe.model_validate(recipe | {"training": {"objective": "orpo"}})
    with pytest.raises(ValueError, match=rf"lora.init: pissa changes the base, and {objective} compares with it"):
        Recipe.model_validate(recipe | {"training": {"objective": objective}})


def test_a_recipe_finds_each_objective_by_its_name() -> None:
    for name in ("sft", "dpo", "orpo", "kto"):
        assert objective_named(name).name == name
