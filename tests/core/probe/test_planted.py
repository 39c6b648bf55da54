"""The golden probe on the real model, transformers in the engine's place: what must pass and what must not.

The same with a real vLLM: `python -m bench.probe`, and one planted failure in tests/e2e.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fixtures.journeys import MODEL
from transformers import AutoModelForCausalLM, AutoTokenizer

from freehold.core.probe.compare import EngineAnswer, Verdict, compare
from freehold.core.quiet import quiet_libraries
from freehold.core.store import Artifact, Store
from freehold.core.store.lineage import PromptProbe

pytestmark = pytest.mark.slow

Weights = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def artifact(pulled_home: Path) -> Artifact:
    return Store(pulled_home / "store").get(MODEL)


def _judge(artifact: Artifact, folder: Path, dtype: torch.dtype, change: Callable[[Weights], None]) -> Verdict:
    with quiet_libraries(), torch.inference_mode():
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
        change(model.state_dict())
        tokenizer = AutoTokenizer.from_pretrained(folder)
        answers = [_answer(model, tokenizer, prompt) for prompt in artifact.lineage.probe.prompts]
    return compare(artifact.lineage.probe, answers, quantized_online=False)


def _answer(model: torch.nn.Module, tokenizer: object, prompt: PromptProbe) -> EngineAnswer:
    rendered = None
    if prompt.messages:
        ids = tokenizer.apply_chat_template(  # type: ignore[attr-defined]
            list(prompt.messages), add_generation_prompt=True, return_dict=False
        )
        rendered = tuple(ids)
    forced = [*prompt.prompt_token_ids, *(position.token_id for position in prompt.positions)]
    logprobs = model(torch.tensor([forced])).logits[0].float().log_softmax(-1)
    first = len(prompt.prompt_token_ids) - 1
    rows = [logprobs[first + number].topk(20) for number in range(len(prompt.positions))]
    tops = tuple(dict(zip(row.indices.tolist(), row.values.tolist(), strict=True)) for row in rows)
    return EngineAnswer(rendered, tops)


def _nothing(weights: Weights) -> None:
    """The model as it is."""


def _permute(weights: Weights) -> None:
    tensor = weights["model.layers.15.mlp.down_proj.weight"]
    tensor.copy_(tensor[torch.randperm(len(tensor), generator=torch.Generator().manual_seed(0))])


def _another_model(weights: Weights) -> None:
    """A sibling: every matrix a little different, as after somebody's fine-tuning."""
    generator = torch.Generator().manual_seed(0)
    for tensor in weights.values():
        if tensor.ndim == 2:
            tensor.add_(torch.randn(tensor.shape, generator=generator) * tensor.std() * 0.02)


def _broken_kernel(weights: Weights) -> None:
    weights["model.layers.3.self_attn.o_proj.weight"].fill_(torch.nan)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_honest_rounding_passes(artifact: Artifact, dtype: torch.dtype) -> None:
    verdict = _judge(artifact, artifact.path, dtype, _nothing)
    assert verdict.passed, str(verdict)


@pytest.mark.parametrize("planted", [_permute, _another_model, _broken_kernel])
def test_another_model_is_refused(artifact: Artifact, planted: Callable[[Weights], None]) -> None:
    verdict = _judge(artifact, artifact.path, torch.float32, planted)
    assert not verdict.passed
    assert "nats from the reference" in verdict.problems[0]


def test_another_chat_template_is_refused(artifact: Artifact, tmp_path: Path) -> None:
    shutil.copytree(artifact.path, tmp_path / "model")
    template = "{% for m in messages %}[INST] {{ m['content'] }} [/INST]{% endfor %}"
    (tmp_path / "model" / "chat_template.jinja").write_text(template)
    verdict = _judge(artifact, tmp_path / "model", torch.float32, _nothing)
    assert [problem.split(" renders")[0] for problem in verdict.problems] == ["its chat template"]
