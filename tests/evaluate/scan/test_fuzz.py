"""No text crashes a reader, none is scanned for ever, and what is found lies within the file."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freehold.evaluate.scan.knowledge import ClosedNames
from freehold.evaluate.scan.readers import reader_of
from freehold.evaluate.scan.scanning import HINT

NAMES = ClosedNames()
FILES = "a.py a.ts a.js a.tsx a.go .env a.yaml a.json package.json go.mod a.md a.ipynb a.vue".split(" ")  # noqa: SIM905
PIECES = (  # noqa: SIM905
    "from openai import OpenAI|import OpenAI from 'openai';|client|= |OpenAI(|)|(|{|}|[|]|`|${"
    "|chat.completions.create|**|...|model|:|'gpt-4o'|'o1'|\n|    |def f(|return |class A:|class A {"
    "|self.|this.|lambda x:|=>|f'{|OPENAI_API_KEY|https://api.openai.com/v1|#|//|/*|\\|\x00|\u2028|é"
    "|\ud800|await |import(|require(|async |match x:\n case |{'cells': [|<script>|\""
).split("|")
SETTINGS = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "150")),
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def check(file: str, text: str) -> None:
    reader = reader_of(Path(file))
    assert reader is not None
    findings = list(reader.read(file, text, NAMES).findings)
    lines = text.count("\n") + text.count("\r") + len(text.splitlines()) + 1
    assert all(1 <= each.line <= lines for each in findings)


@SETTINGS
@given(file=st.sampled_from(FILES), pieces=st.lists(st.sampled_from(PIECES), max_size=40))
def test_shuffled_code(file: str, pieces: list[str]) -> None:
    check(file, "".join(pieces).encode("utf-8", "replace").decode())


@SETTINGS
@given(file=st.sampled_from(FILES), text=st.text(max_size=300))
def test_any_text(file: str, text: str) -> None:
    check(file, text.encode("utf-8", "replace").decode())


@SETTINGS
@given(cut=st.integers(0, 2000), put=st.sampled_from(PIECES), file=st.sampled_from(["a.py", "a.ts"]))
@pytest.mark.slow
def test_sources_that_are_cut_short(cut: int, put: str, file: str) -> None:
    source = Path(__file__).read_text()
    check(file, (source[:cut] + put + source[cut + 7 : 2000]).encode("utf-8", "replace").decode())


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "(" * 5000 + ")" * 5000,
        "x = " + "[" * 5000,
        "x = " + "-" * 5000 + "1",
        "a = a\nb = a or b\na = b or a\n" + "openai = a.b.c()\n" * 200 + "a.chat.completions.create(model=a)\n" * 50,
        "import openai\n"
        + "".join(f"x{n} = x{n - 1} or x{n - 2}\n" for n in range(400))
        + "openai.OpenAI(base_url=x399)",
        "d = {**d, **d}\nimport openai\nopenai.chat.completions.create(**d)",
        "x = 'a' " + "+ 'gpt-4o' " * 3000,
        "const x = " + "{a:" * 3000 + "1" + "}" * 3000,
        "f(" * 3000,
        "`${" * 2000,
        "f" + "()" * 3000,
        "f" + ".a()" * 3000,
        "x = f" + "[0]" * 3000,
    ],
)
@pytest.mark.parametrize("file", ["a.py", "a.ts"])
def test_depth_and_circles_end(file: str, text: str) -> None:
    check(file, text)


@SETTINGS
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=30), file=st.sampled_from(FILES))
def test_what_is_not_parsed_has_nothing_to_find(pieces: list[str], file: str) -> None:
    text = "".join(pieces).encode("utf-8", "replace").decode()
    reader = reader_of(Path(file))
    assert reader is not None
    if not HINT.search(text):
        assert list(reader.read(file, text, NAMES).findings) == []
