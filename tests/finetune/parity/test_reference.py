"""What the trainer writes down: greedy answers and log-probabilities of its own model, adapter on and off."""

from pathlib import Path

import pytest
import torch
from fixtures.trained import ASKED, add_adapter, prompts, train

from freehold.core.adapters.reference import PARITY_FILE, read_parity
from freehold.core.dataset.examples import Conversation, Judged, Origin, PlainText, Preference
from freehold.core.errors import GateError, IntegrityError, UserError
from freehold.core.quiet import quiet_libraries
from freehold.core.store import Artifact, Store
from freehold.finetune.parity.prompts import Prompt, choose_prompts
from freehold.finetune.parity.reference import answers, template_digest, write_reference

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def adapter(shelf: Store, base: Artifact, scratch: Path) -> Artifact:
    return add_adapter(shelf, base, "honest", scratch)


def test_the_file_holds_what_transformers_says_of_the_stored_adapter(base: Artifact, adapter: Artifact) -> None:
    """Against a naive reading: peft loads the artifact, `generate` continues, one forward pass scores."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    reference = read_parity(adapter.path)
    assert reference is not None
    with quiet_libraries(), torch.inference_mode():
        tokenizer = AutoTokenizer.from_pretrained(base.path)
        plain = AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.float32).eval()
        tuned = PeftModel.from_pretrained(plain, adapter.path).eval()
        for prompt, text in zip(reference.prompts, ASKED, strict=True):
            rendered = tokenizer.apply_chat_template(
                [{"role": "user", "content": text}], add_generation_prompt=True, return_tensors="pt", return_dict=True
            )["input_ids"]
            assert prompt.prompt_token_ids == tuple(rendered[0].tolist())
            generated = tuned.generate(input_ids=rendered, max_new_tokens=32, do_sample=False)[0]
            assert prompt.continuation == tuple(generated[rendered.shape[1] :].tolist())
            on = tuned(generated[None]).logits[0].log_softmax(-1)
            with tuned.disable_adapter():
                off = tuned(generated[None]).logits[0].log_softmax(-1)
            for place, position in enumerate(prompt.positions, rendered.shape[1] - 1):
                assert set(position.tuned) == set(on[place].topk(10).indices.tolist())
                assert position.tuned == pytest.approx({t: float(on[place, t]) for t in position.tuned}, abs=1e-4)
                assert position.base == pytest.approx({t: float(off[place, t]) for t in position.base}, abs=1e-4)


def test_it_names_its_base_template_and_ends(base: Artifact, adapter: Artifact) -> None:
    reference = read_parity(adapter.path)
    assert reference is not None
    assert (reference.base, reference.base_digest) == (base.id, base.lineage.digest)
    assert reference.chat_template_sha256 == template_digest((base.path / "chat_template.jinja").read_text())
    assert {prompt.continuation[-1] for prompt in reference.prompts} <= set(reference.end_token_ids)
    assert set(reference.versions) == {"torch", "transformers", "peft"}
    assert reference.context_tokens < 256


def test_a_model_that_answers_nan_is_refused(base: Artifact, tmp_path: Path) -> None:
    with quiet_libraries():
        model, tokenizer = train(base)
        next(p for name, p in model.named_parameters() if "lora_B" in name).data.fill_(torch.nan)
        with pytest.raises(GateError, match="NaN"):
            write_reference(model, tokenizer, prompts(), tmp_path, base=base)
    assert not (tmp_path / PARITY_FILE).exists()


def test_dropout_is_off_for_the_reference_and_on_again_after(base: Artifact) -> None:
    with quiet_libraries():
        model, tokenizer = train(base)
        model.train()
        answers(model, tokenizer, prompts()[:1], model.disable_adapter)
    assert model.training


def test_prompts_that_do_not_fit_are_left_out_and_none_is_refused(base: Artifact) -> None:
    long = Prompt("long:1", ({"role": "user", "content": "one two " * 200},))
    with quiet_libraries():
        model, tokenizer = train(base)
        assert [p.name for p in answers(model, tokenizer, (long, *prompts()[:1]), model.disable_adapter)] == ["asked:1"]
        with pytest.raises(UserError, match="none of 1 held-out prompts fits"):
            answers(model, tokenizer, (long,), model.disable_adapter)


def test_an_unreadable_file_is_told_from_none(tmp_path: Path) -> None:
    assert read_parity(tmp_path) is None
    (tmp_path / PARITY_FILE).write_text('{"schema_version": 2}')
    with pytest.raises(IntegrityError, match=PARITY_FILE):
        read_parity(tmp_path)


USER = {"role": "user", "content": "hi"}
ANSWER = {"role": "assistant", "content": "yes", "weight": 0}


def test_each_kind_of_example_gives_its_prompt() -> None:
    origin = Origin("data.jsonl", 3)
    examples = (
        Conversation(origin, (USER, ANSWER, USER, ANSWER)),
        PlainText(origin, "once upon a time"),
        Preference(origin, (USER,), (ANSWER,), (ANSWER,)),
        Judged(origin, (USER, USER), (ANSWER,), True),
    )
    found = choose_prompts(examples)
    assert [prompt.name for prompt in found] == ["data.jsonl:3"] * 4
    without_weight = {"role": "assistant", "content": "yes"}
    assert found[0].messages == (USER, without_weight, USER), "an engine knows no weight"
    assert (found[1].messages, found[1].text) == (None, "once upon a time")
    assert (found[2].messages, found[3].messages) == ((USER,), (USER, USER))


def test_prompts_are_different_and_spread_over_the_data() -> None:
    examples = [
        Conversation(Origin("d", line), ({"role": "user", "content": str(line // 2)}, ANSWER)) for line in range(100)
    ]
    found = choose_prompts(examples, 5)
    assert [prompt.messages[0]["content"] for prompt in found if prompt.messages] == ["0", "10", "20", "30", "40"]


def test_a_chat_that_begins_with_the_assistant_has_no_prompt() -> None:
    assert choose_prompts([Conversation(Origin("d", 1), (ANSWER, USER))]) == ()
