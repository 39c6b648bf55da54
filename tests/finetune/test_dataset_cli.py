"""`freehold dataset check|show` as a user runs it."""

import json
from pathlib import Path
from typing import Any

import pytest
from fixtures.models import add_artifact, read_files

from freehold.core.cli.main import main
from freehold.core.settings import load_settings
from freehold.core.store import Store
from freehold.finetune.checking import remember_speed


def chat(question: str, answer: str, **beside: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]} | beside


GOOD = [chat("What is the capital of France?", "Paris."), chat("Two and two?", "Four."), chat("A colour?", "Blue.")]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write(tmp_path / "train.jsonl", *GOOD)


@pytest.fixture
def tiny(tiny_model: Path, home: Path) -> str:
    """The tiny model in the home's store."""
    return add_artifact(Store(load_settings().store_root), "tiny", read_files(tiny_model)).id


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> int:
    monkeypatch.setattr("sys.argv", ["freehold", "dataset", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_good_data_passes(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "check", data) == 0
    out, err = capsys.readouterr()
    assert "3 of 3 lines can be learnt from (chat)" in out
    assert "0 errors, 0 warnings" in out
    assert err == ""


def test_errors_end_with_2_and_every_one_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "train.jsonl", *GOOD, chat("", "x"), chat("x", ""))
    assert run(monkeypatch, "check", path, "--eval", write(tmp_path / "eval.jsonl", GOOD[0])) == 2
    out, err = capsys.readouterr()
    assert f"{path}:4: error: messages[0]: the user says nothing" in out
    assert f"{path}:5: error: messages[1]: the assistant says nothing" in out
    assert f"eval.jsonl:1: error: same as {path}:1 of the training data" in out
    assert err.startswith("freehold: 3 errors in the data")


def test_warnings_alone_pass(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    write(data, *GOOD, GOOD[0])
    assert run(monkeypatch, "check", data) == 0
    assert "0 errors, 1 warnings" in capsys.readouterr().out


def test_with_a_model_lengths_masks_and_an_estimate_are_shown(
    data: Path, tiny: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "check", data, "--model", "tiny", "--batch-size", "2", "--epochs", "2") == 0
    out = capsys.readouterr().out
    assert "at most 256" in out
    assert "█" in out
    assert "<|user|>What is the capital of France?<|end|><|assistant|>⟦Paris.<|end|>⟧" in out
    assert "2 epochs in 4 steps of 2 examples" in out
    assert "time unknown" in out


def test_a_measured_speed_gives_time_and_cost(
    data: Path, tiny: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    remember_speed(load_settings(), tiny, 10.0)
    assert run(monkeypatch, "check", data, "--model", tiny, "--price-per-hour", "3600", "--format", "json") == 0
    document = json.loads(capsys.readouterr().out)
    estimate = document["estimate"]
    assert estimate["tokens"] == 3 * document["tokens"]["total"]
    assert estimate["seconds"] == pytest.approx(estimate["tokens"] / 10)
    assert estimate["cost"] == pytest.approx(estimate["seconds"])


def test_an_example_over_the_context_is_an_error_and_may_be_split(
    tmp_path: Path, tiny: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    question, answer = (" ".join(["word"] * 20), "It is.")
    messages = [m for i in range(8) for m in chat(f"{i} {question}", answer)["messages"]]
    path = write(tmp_path / "train.jsonl", GOOD[0], {"messages": messages})
    assert run(monkeypatch, "check", path, "--model", "tiny", "--format", "json") == 2
    document = json.loads(capsys.readouterr().out)
    assert [(p["line"], p["code"], p["severity"]) for p in document["problems"]] == [(2, "over_long", "error")]
    assert "256 is the most" in document["problems"][0]["message"]
    assert run(monkeypatch, "check", path, "--model", "tiny", "--over-long", "split", "--format", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [(p["line"], p["code"]) for p in document["problems"]] == [(2, "split")]
    assert document["tokens"]["longest"] <= 256
    assert sum(bar["examples"] for bar in document["tokens"]["histogram"]) > 2
    assert run(monkeypatch, "check", path, "--model", "tiny", "--max-length", "12", "--over-long", "split") == 2


def test_what_the_template_refuses_is_an_error_of_its_line(
    tmp_path: Path, tiny: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = {"type": "function", "function": {"name": "get_time"}}
    path = write(tmp_path / "train.jsonl", GOOD[0], GOOD[1] | {"tools": [tool]})
    assert run(monkeypatch, "check", path, "--model", "tiny") == 2
    assert f"{path}:2: error: the template ignores tools" in capsys.readouterr().out


def test_preferences_are_counted_with_both_answers(
    tmp_path: Path, tiny: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "pairs.jsonl", {"prompt": "Hi", "chosen": "Hello", "rejected": "What"})
    assert run(monkeypatch, "check", path, "--model", "tiny", "--format", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["train"]["format"] == "preference"
    assert sum(bar["examples"] for bar in document["tokens"]["histogram"]) == 2


def test_show_prints_tokens_in_brackets_or_as_json(
    data: Path, tiny: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "show", data, "--mask", "--model", "tiny", "-n", "1", "--line", "2") == 0
    assert capsys.readouterr().out.splitlines()[1] == "<|user|>Two and two?<|end|><|assistant|>⟦Four.<|end|>⟧"
    assert run(monkeypatch, "show", data, "--mask", "--model", "tiny", "--format", "json") == 0
    first, *_ = documents = json.loads(capsys.readouterr().out)
    assert len(documents) == 3
    assert first["trained_text"] == ["Paris.<|end|>"]
    assert "".join(t["text"] for t in first["tokens"] if t["trained"]) == "Paris.<|end|>"


def test_learnt_text_is_coloured_on_a_terminal_unless_no_color_is_set(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    from freehold.core.dataset.examples import Conversation, Origin
    from freehold.finetune.checking.display import MaskPrinter
    from freehold.finetune.masking import load_masker

    masker = load_masker(tiny_model)
    (masked,) = masker.mask(Conversation(Origin("x", 1), tuple(GOOD[0]["messages"])))
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = Console(force_terminal=True, color_system="standard", highlight=False, soft_wrap=True, _environ={})
    MaskPrinter(coloured).show(masker, masked)
    out = capsys.readouterr().out
    assert "\x1b[1;32mParis.<|end|>\x1b[0m" in out
    assert "⟦" not in out
    plain = Console(force_terminal=True, highlight=False, soft_wrap=True, no_color=True)
    MaskPrinter(plain).show(masker, masked)
    assert "⟦Paris.<|end|>⟧" in capsys.readouterr().out


def test_show_without_mask_prints_what_was_understood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "alpaca.jsonl", {"instruction": "Hi", "output": "Hello"})
    assert run(monkeypatch, "show", path) == 0
    assert capsys.readouterr().out == f"--- {path}:1\nmessages:\n  user: Hi\n  assistant: Hello\n"


def test_show_says_what_it_lacks(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "show", data, "--mask") == 2
    assert "--mask needs a model" in capsys.readouterr().err
    assert run(monkeypatch, "show", data, "--line", "9") == 2
    assert "nothing from line 9 on" in capsys.readouterr().err
    assert run(monkeypatch, "check", data.with_name("none.jsonl")) == 3


def test_an_addition_of_the_template_is_warned_of(
    data: Path, tiny_model: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    template = (
        "{% for m in messages %}<|{{ m.role }}|>{% if m.role == 'assistant' %}[empty thought]{% endif %}"
        "{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )
    dated = template + "{% if false %}{{ strftime_now('%d') }}{% endif %}"
    files = read_files(tiny_model) | {"chat_template.jinja": dated.encode()}
    add_artifact(Store(load_settings().store_root), "thoughtful", files)
    assert run(monkeypatch, "check", data, "--model", "thoughtful", "--format", "json") == 0
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert [(p["code"], p["line"]) for p in problems] == [("clock", 1), ("template_adds", 1)]
    assert "'[empty thought]'" in problems[1]["message"]
