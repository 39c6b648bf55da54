import pytest
from finetune.preference.conftest import PAIRS, preference

from freehold.core.dataset.examples import Conversation, Judged, Origin
from freehold.core.errors import UserError
from freehold.finetune.masking.masker import Masker
from freehold.finetune.preference.pairs import judged_rows, paired_rows, sequence_tokens


def test_a_pair_holds_the_prompt_as_it_is_served_and_both_answers_with_their_end(
    masker: Masker, tokenizer: object
) -> None:
    row = paired_rows(PAIRS, masker, "dpo", None)[1]

    texts = {name: tokenizer.decode(ids) for name, ids in row.items()}  # type: ignore[attr-defined]
    assert texts == {
        "prompt_ids": "<|user|>Where is it?<|end|><|assistant|>",
        "chosen_ids": "Here.<|end|>",
        "rejected_ids": "Elsewhere.<|end|>",
    }


def test_every_over_long_example_is_named_once_with_its_line_and_none_is_cut(masker: Masker) -> None:
    lengths = [len(prompt) + max(len(good), len(bad)) for prompt, good, bad in map(masker.preference, PAIRS)]
    limit = sorted(lengths)[0]

    with pytest.raises(UserError) as refusal:
        paired_rows(PAIRS, masker, "dpo", limit)

    assert str(refusal.value).startswith(f"2 examples are longer than {limit} tokens")
    assert [f"pairs.jsonl:{line}" in str(refusal.value) for line in (1, 2, 3)] == [length > limit for length in lengths]
    assert len(paired_rows(PAIRS, masker, "dpo", max(lengths))) == 3


def test_equal_answers_are_refused_with_their_line(masker: Masker) -> None:
    with pytest.raises(UserError, match=r"pairs.jsonl:9: the chosen and the rejected answer are the same"):
        paired_rows([preference(9, "Who?", "You.", "You.")], masker, "dpo", None)


@pytest.mark.parametrize("rows", [paired_rows, judged_rows])
def test_a_conversation_is_no_preference(masker: Masker, rows: object) -> None:
    conversation = Conversation(Origin("chat.jsonl", 4), ({"role": "user", "content": "Hi"},))

    with pytest.raises(UserError, match=r"chat.jsonl:4 is no example for the objective"):
        rows([conversation], masker, "some", None)  # type: ignore[operator]


def test_judged_answers_and_pairs_become_labelled_rows_with_a_neighbours_answer(masker: Masker) -> None:
    judged = Judged(Origin("judged.jsonl", 1), PAIRS[0].prompt, PAIRS[0].rejected, desirable=False)

    rows = judged_rows([judged, PAIRS[1]], masker, "kto", None)

    assert [int(rows[index]["label"][0]) for index in range(3)] == [0, 1, 0]
    answers = [rows[index]["completion_ids"].tolist() for index in range(3)]
    assert [rows[index]["kl_ids"].tolist() for index in range(3)] == [answers[2], answers[0], answers[1]]


def test_only_the_mismatched_answer_gives_way_to_the_limit(masker: Masker) -> None:
    short = [PAIRS[1], preference(2, "?", "A.", "one two three four five six")]
    limit = max(len(prompt) + max(len(good), len(bad)) for prompt, good, bad in map(masker.preference, short))

    rows = judged_rows(short, masker, "kto", limit)

    for row in (rows[index] for index in range(len(rows))):
        assert len(row["prompt_ids"]) + len(row["kl_ids"]) <= limit


def test_a_row_counts_the_prompt_once_for_every_answer(masker: Masker) -> None:
    rows = paired_rows(PAIRS[:1], masker, "dpo", None)
    prompt, good, bad = masker.preference(PAIRS[0])

    assert sequence_tokens(rows).tolist() == [2 * len(prompt) + len(good) + len(bad)]
