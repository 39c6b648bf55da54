"""A base in 4 or 8 bits on the CPU: what it is, what it learns, and that the adapter is for the whole base."""

from typing import Any

import pytest

from freehold.core.store import Artifact
from freehold.finetune.model.precision import Precision
from freehold.finetune.quantized.loading import load_quantized
from freehold.finetune.recipe import Recipe

CPU = Precision("cpu", "float32", autocast=False, reason="a test")


def losses(model: Any, steps: int) -> list[float]:
    import torch

    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    ids = torch.arange(5, 25).reshape(1, 20)
    found = []
    for _ in range(steps):
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        found.append(loss.item())
    return found


@pytest.mark.parametrize(("kind", "layer"), [("nf4", "Linear4bit"), ("int8", "Linear8bitLt")])
def test_linear_layers_are_quantized_and_an_adapter_learns_on_them(
    kind: Any, layer: str, base: Artifact, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch
    from peft import LoraConfig, get_peft_model

    model = load_quantized(base, kind, CPU)

    kinds = {type(module).__name__ for name, module in model.named_modules() if name.endswith("_proj")}
    assert kinds == {layer}
    assert type(model.lm_head) is torch.nn.Linear
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert f"as {kind}. The adapter will be served on the whole base" in capsys.readouterr().err

    torch.manual_seed(0)
    targets = ["q_proj", "down_proj"]
    adapted = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules=targets))
    found = losses(adapted, 20)
    assert found[-1] < found[0] - 0.3, found


def test_int8_is_silent_about_every_product(base: Artifact, caplog: pytest.LogCaptureFixture) -> None:
    import torch

    model = load_quantized(base, "int8", CPU)
    model(input_ids=torch.tensor([[5, 6, 7]]))

    assert not [record for record in caplog.records if "inputs will be cast" in record.getMessage()]


def test_without_bitsandbytes_the_error_names_the_setting(base: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from freehold.core.errors import EnvironmentProblem

    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(EnvironmentProblem, match="`training.quantization: nf4` needs bitsandbytes"):
        load_quantized(base, "nf4", CPU)


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ({"lora": {"init": "pissa"}, "output": {"merge": True}}, "lora.init: pissa changes the base's weights"),
        ({"scale": {"workers": 2, "fsdp": True}}, "scale.fsdp cannot split a base that is held as nf4"),
    ],
)
def test_what_a_base_in_few_bits_cannot_do_is_refused_in_the_recipe(part: dict[str, Any], reason: str) -> None:
    recipe = {"model": "m", "data": {"train": ["f"]}, **part}

    Recipe.model_validate(recipe)
    with pytest.raises(ValueError, match=reason):
        Recipe.model_validate(recipe | {"training": {"quantization": "nf4"}})
