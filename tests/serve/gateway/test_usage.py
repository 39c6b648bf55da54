"""Token counts are found in the last bytes of every API's answers, and nowhere else."""

import pytest

from freehold.serve.gateway.usage import Usage, last_usage, usage_of


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"usage":{"prompt_tokens":3,"total_tokens":5,"completion_tokens":2,"prompt_tokens_details":null}}', (3, 2)),
        (
            b'{"usage": {\n "input_tokens" : 30,\n "output_tokens": 4,"input_tokens_details":{"cached_tokens":9}}}',
            (30, 4),
        ),
        (b'{"usage":{"prompt_tokens":8,"total_tokens":8}}', (8, None)),
        (b'data: {"usage":{"prompt_tokens":3,"completion_tokens":9}}\n\ndata: [DONE]\n\n', (3, 9)),
        (b'data: {"usage":{"completion_tokens":1}}\n\ndata: {"usage":{"completion_tokens":2}}\n\n', (None, 2)),
        (b'data: {"usage":{"completion_tokens":1}}\n\ndata: {"usage":null}\n\n', (None, 1)),
        (b'event: message_delta\ndata: {"delta":{},"usage":{"output_tokens":7}}\n\nevent: message_stop\n', (None, 7)),
        (b'{"usage":{"type":"duration","seconds":2}}', (None, None)),
    ],
)
def test_usage_is_found(data: bytes, expected: tuple[int | None, int | None]) -> None:
    found = last_usage(data)
    assert found is not None
    assert (found.prompt, found.completion) == expected


@pytest.mark.parametrize(
    "data",
    [b"", b"data: [DONE]\n\n", b'{"usage":null}', b'{"content":"\\"usage\\":{\\"prompt_tokens\\":3}"}', b'{"usage"'],
)
def test_no_usage_is_none(data: bytes) -> None:
    assert last_usage(data) is None


def test_what_anthropic_counts_beside_the_input_is_part_of_the_prompt() -> None:
    counts = b'"input_tokens":5,"cache_read_input_tokens":7,"cache_creation_input_tokens":1,"output_tokens":2'
    assert last_usage(b'{"usage":{' + counts + b"}}") == Usage(13, 2, 7)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"usage":{"prompt_tokens":3,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":1}}}', (3, 2, 1)),
        (b'{"usage":{"prompt_tokens":3,"completion_tokens":2,"prompt_tokens_details":null}}', (3, 2, None)),
        (b'{"usage":{"input_tokens":5,"output_tokens":2}}', (5, 2, None)),
        (b'{"response":{"usage":{"prompt_tokens":3}},"usage":{"prompt_tokens":8}}', (8, None, None)),
        (b'{"usage":{"prompt_tokens":3.5}}', (3, None, None)),
        (b'ng":"x"}],"usage":{"prompt_tokens":3}}', (3, None, None)),
    ],
)
def test_a_whole_answer_tells_its_own_usage(body: bytes, expected: tuple[int | None, ...]) -> None:
    found = usage_of(body)
    assert found is not None
    assert tuple(found) == expected


@pytest.mark.parametrize("body", [b"", b"{}", b'{"usage":null}', b"[1]", b"\xff", b'{"choices":[{"text":"usage"}]}'])
def test_a_whole_answer_without_usage_has_none(body: bytes) -> None:
    assert usage_of(body) is None
