"""Fields are changed in place; whatever the body holds besides stays as it was written."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.serve.gateway.edit import with_fields, without_field

TRICKY = [
    '{"model":"a"}',
    ' {\n "model" : "a" , "n": 1e400}',
    '{"x":{"model":"a"},"model":"a"}',
    '{"mod\\u0065l":"a","x":{"model":"b"}}',
    '{"model":"\\u0061"}',
    '{"model":"first","model":"a"}',
    '{"content":"\\"model\\": \\"a\\"","model":"a"}',
    '{"content":"say \\"model","model":"a"}',
    '{"é":"ü","model":"a","deep":[{"model":"a"},[]]}',
]


def _common(one: str, other: str) -> int:
    """Length of what both begin with."""
    return next((at for at, pair in enumerate(zip(one, other, strict=False)) if len(set(pair)) > 1), len(one))


@pytest.mark.parametrize("text", TRICKY)
def test_one_value_changes_and_no_other_byte(text: str) -> None:
    document = json.loads(text)
    changed = with_fields(text.encode(), {"model": 'new "name"'}, document).decode()
    assert json.loads(changed) == {**document, "model": 'new "name"'}
    before = _common(text, changed)
    after = _common(text[::-1], changed[::-1])
    assert before + after >= len(text) - len('"\\u0061"'), "more than the value has changed"


@pytest.mark.parametrize("text", TRICKY)
def test_a_new_field_goes_in_front(text: str) -> None:
    document = json.loads(text)
    changed = with_fields(text.encode(), {"stream_options": {"include_usage": True}}, document).decode()
    assert json.loads(changed) == {**document, "stream_options": {"include_usage": True}}
    assert changed.replace('"stream_options":{"include_usage":true},', "") == text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["model", "stream", '"model"', "x"]) | st.text(max_size=5), JSON),
    JSON,
    st.booleans(),
)
@pytest.mark.slow
def test_any_document_takes_any_value(document: dict[str, Any], value: Any, ascii_only: bool) -> None:
    document = {"model": "a", **document}
    body = json.dumps(document, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    try:
        body.decode()
    except UnicodeDecodeError:
        return  # no client can send that, and the parser refuses it
    fields = {"model": value, "brand new": value}
    assert json.loads(with_fields(body, fields, document)) == {**document, **fields}


def test_a_field_can_be_taken_out() -> None:
    assert without_field('{"a":1, "usage": null ,"b":{"usage":2}}', "usage") == '{"a":1,"b":{"usage":2}}'
    assert without_field('{"a":1}', "usage") == '{"a":1}'
    assert without_field('{"usage":{}}', "usage") == "{}"
