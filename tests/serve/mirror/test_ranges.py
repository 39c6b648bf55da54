import pytest

from freehold.serve.mirror.ranges import Span, UnsatisfiableRangeError, is_unchanged, requested_span


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("bytes=0-0", Span(0, 1)),
        ("bytes=2-5", Span(2, 6)),
        ("bytes=4-", Span(4, 10)),
        ("bytes=4-99", Span(4, 10)),
        ("bytes=-3", Span(7, 10)),
        ("bytes=-99", Span(0, 10)),
        ("bytes= 2-5 ", Span(2, 6)),
        # Ignored, as RFC 9110 section 14.2 allows: several ranges, other units, nonsense.
        ("bytes=0-1,3-4", None),
        ("lines=0-1", None),
        ("bytes=5-2", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("", None),
    ],
)
def test_one_range_of_ten_bytes(text: str, span: Span | None) -> None:
    assert requested_span({"Range": text}, 10, "tag") == span


@pytest.mark.parametrize("text", ["bytes=10-", "bytes=10-12", "bytes=-0"])
def test_a_range_behind_the_end(text: str) -> None:
    with pytest.raises(UnsatisfiableRangeError):
        requested_span({"Range": text}, 10, "tag")


@pytest.mark.parametrize(
    ("condition", "kept"), [('"tag"', True), ('"other"', False), ('W/"tag"', False), ("tag", False)]
)
def test_if_range_keeps_the_range_only_for_the_same_content(condition: str, kept: bool) -> None:
    span = requested_span({"Range": "bytes=1-", "If-Range": condition}, 10, "tag")
    assert (span is not None) is kept


@pytest.mark.parametrize(
    ("given", "unchanged"),
    [('"tag"', True), ('W/"tag"', True), ('"a", "tag"', True), ("*", True), ('"a"', False), ("tag", False)],
)
def test_if_none_match(given: str, unchanged: bool) -> None:
    assert is_unchanged({"If-None-Match": given}, "tag") is unchanged


def test_without_conditions_everything_is_sent() -> None:
    assert requested_span({}, 10, "tag") is None
    assert not is_unchanged({}, "tag")
