"""What counts as the same answer, and who speaks for the largest group."""

from dataclasses import dataclass

import pytest

from freehold.serve.gateway.contemplation.voting import answer_of, vote


@dataclass
class Draft:
    text: str
    mean_logprob: float | None = None


@pytest.mark.parametrize(
    ("text", "pattern", "expected"),
    [
        ("  Paris.  ", None, "paris"),
        ("**PARIS**", None, "paris"),
        ("New\n  Delhi", None, "new delhi"),
        ("ﬁne", None, "fine"),
        ("2 and 3 are 5", r"(\d+)", "5"),
        ("The answer is: 42!", r"answer is:? *(\d+)", "42"),
        ("no number", r"(\d+)", None),
        ("yes", r"yes|no", "yes"),
        ("(b)", r"(?:\((\w)\)|(\d))", "b"),
    ],
)
def test_an_answer_is_taken_out_of_its_text(text: str, pattern: str | None, expected: str | None) -> None:
    assert answer_of(text, pattern) == expected


@pytest.mark.parametrize(
    ("texts", "chosen", "votes"),
    [
        (["5", "4", "4."], 1, 2),
        (["5", "4", "3"], 0, 1),
        (["4", "5", "5", "4"], 0, 2),
        (["?", "no", "7"], 2, 1),
        (["?", "no"], 0, 0),
    ],
)
def test_the_largest_group_wins_and_ties_go_to_the_first(texts: list[str], chosen: int, votes: int) -> None:
    assert vote([Draft(text) for text in texts], r"(\d+)") == (chosen, votes)


def test_the_likeliest_draft_decides_only_where_all_are_told() -> None:
    assert vote([Draft("4", -3.0), Draft("5", -1.0)], None).chosen == 1
    assert vote([Draft("4", -3.0), Draft("5", None)], None).chosen == 0
    assert vote([Draft("4", -3.0), Draft("4.", -1.0), Draft("5", -0.1)], None) == (1, 2)
