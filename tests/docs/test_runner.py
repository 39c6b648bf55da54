"""The runner of pages catches pages that do not do what they say; each is planted here."""

from pathlib import Path

import psutil
import pytest
from fixtures.pages import PageError, follow, read_page


def page(tmp_path: Path, text: str) -> Path:
    """`'''` stands for a fence."""
    path = tmp_path / "page.md"
    path.write_text(text.replace("'''", "```"))
    return path


def followed(tmp_path: Path, text: str, **options: object) -> Path:
    folder = tmp_path / "desk"
    folder.mkdir()
    follow(page(tmp_path, text), folder, {}, **options)  # type: ignore[arg-type]
    return folder


GOOD = """# A page
'''python file=hello.py
print("hello, port 8000")
'''
'''diff file=hello.py
-print("hello, port 8000")
+print("hello again, port 8000")
'''
'''sh
export WHO=reader
mkdir -p deeper && cd deeper
'''
'''sh
python ../hello.py
echo "$WHO sees $(date +%s) seconds"; echo one; echo two; echo three >&2
'''
'''text
hello again, port 8000
reader sees … seconds
…
three
'''
'''sh skip="needs a second machine"
ssh nowhere
'''
'''text
never seen
'''
"""


def test_a_page_that_is_right_is_followed_in_one_shell(tmp_path: Path) -> None:
    folder = followed(tmp_path, GOOD, instead={"8000": "1234"})
    assert "1234" in (folder / "hello.py").read_text()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("'''sh\nfalse\n'''\n", r"page.md:1: it ends with 1"),
        ("'''sh\nfalse\ntrue\n'''\n", r"it ends with 1"),
        ("'''sh\nfalse | cat\n'''\n", r"it ends with 1"),
        ("'''sh\necho yes\n'''\n'''text\nno\n'''\n", r"(?s)page.md:4: .*- no\n\+ yes"),
        ("'''sh\necho yes; echo more\n'''\n'''text\nyes\n'''\n", r"(?s)\+ more"),
        ("'''sh\necho a:\n'''\n'''text\na:…\n'''\n", r"other output"),
        ("'''sh\necho a\n'''\n'''text\na\nb\n'''\n", r"(?s)- b"),
        ("'''sh\nsleep 60\n'''\n", r"still runs after 1 s"),
        ("'''sh until=\"Ready\"\necho Failed\n'''\n", r"'Ready' was not printed, it ended:\nFailed"),
        ("'''sh until=\"Ready\"\nsleep 60\n'''\n", r"did not say so in 1 s"),
        ("'''python file=a.py\nx = 1\n'''\n'''diff file=a.py\n-y = 1\n+y = 2\n'''\n'''sh\ntrue\n'''\n", r"0 times"),
    ],
)
def test_a_page_that_does_not_do_what_it_says_fails(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(PageError, match=says):
        followed(tmp_path, text, limit_s=1 if "sleep" in text else 60)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("'''sh skip=\"\"\ntrue\n'''\n", "skipped without a reason"),
        ("'''sh skip=\"no time\"\ntrue\n'''\n", "skipped without a reason"),
        ("'''sh skip\ntrue\n'''\n", "nobody knows skip"),
        ("'''sh unless=it-rains\ntrue\n'''\n", "nobody knows unless"),
        ("'''\ntrue\n'''\n", "neither run, shown nor saved"),
        ("'''python\nprint()\n'''\n'''sh\ntrue\n'''\n", "a block of python is neither"),
        ("'''sh\ntrue\n", "does not end"),
        ("'''text\nout\n'''\n'''sh\ntrue\n'''\n", "output without the command"),
        ("Words alone.\n", "nothing is run"),
        ("'''sh skip=\"this is not for here\"\ntrue\n'''\n", "nothing is run"),
    ],
)
def test_a_block_that_nobody_tries_is_an_error(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(PageError, match=says):
        read_page(page(tmp_path, text))


def test_what_a_page_left_running_is_stopped(tmp_path: Path) -> None:
    text = "'''sh until=\"up (?P<pid>\\d+)\"\necho up $$ | tee pid; sleep 300\n'''\n'''sh\nfalse\n'''\n"
    with pytest.raises(PageError):
        followed(tmp_path, text)
    assert not psutil.pid_exists(int((tmp_path / "desk" / "pid").read_text().split()[1]))
