"""The command: output, exit codes, and examples that run."""

import json
import re
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from freehold.core.errors import GateError, NotFoundError
from freehold.evaluate.cli.scan import app

RUNNER = CliRunner()


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "service").mkdir()
    (tmp_path / "service" / "app.py").write_text("from openai import OpenAI\nc = OpenAI()\n# gpt-4o\nD = 'ours'\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_table_goes_to_stdout_and_hints_to_stderr(code: Path) -> None:
    ended = RUNNER.invoke(app, ["."])
    assert ended.exit_code == 0
    assert "service/app.py:2  client  OpenAI" in ended.stdout
    assert "Read 1 files" in ended.stderr
    assert "Read 1 files" not in ended.stdout


def test_json_is_one_document(code: Path) -> None:
    document = json.loads(RUNNER.invoke(app, [".", "--format", "json"]).stdout)
    assert {(each["kind"], each["value"]) for each in document["findings"]} == {("sdk", "openai"), ("client", "OpenAI")}
    assert document["summary"]["mentions"] == 1


def test_sarif_is_one_document(code: Path) -> None:
    assert json.loads(RUNNER.invoke(app, [".", "--format", "sarif"]).stdout)["version"] == "2.1.0"


def test_mentions_are_listed_when_asked_for(code: Path) -> None:
    ended = RUNNER.invoke(app, [".", "--format", "json", "--include-mentions", "--models", "ours"])
    values = {each["value"]: each["confidence"] for each in json.loads(ended.stdout)["findings"]}
    assert (values["gpt-4o"], values["ours"]) == ("mention", "likely")


def test_found_can_fail(code: Path) -> None:
    ended = RUNNER.invoke(app, [".", "--fail-on-found"])
    assert isinstance(ended.exception, GateError)
    assert ended.exception.exit_code == 6
    assert "service/app.py:1" in ended.exception.why
    assert "service/app.py:2" in ended.stdout


def test_a_mention_alone_does_not_fail(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("# gpt-4o\n")
    assert RUNNER.invoke(app, [str(tmp_path), "--fail-on-found", "--include-mentions"]).exit_code == 0


def test_nothing_found_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    assert "Nothing in 1 files depends on a closed model." in RUNNER.invoke(app, [str(tmp_path)]).stdout


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    ended = RUNNER.invoke(app, [str(tmp_path / "nowhere")])
    assert isinstance(ended.exception, NotFoundError)
    assert ended.exception.exit_code == 3


def test_the_examples_of_the_help_run(code: Path) -> None:
    command = typer.main.get_command(app)
    examples = re.findall(r"^\s+freehold scan (.+)$", str(command.epilog), re.MULTILINE)
    assert len(examples) >= 4
    for example in examples:
        arguments = example.split(" > ")[0].split()
        ended = RUNNER.invoke(app, arguments)
        expected = 1 if "--fail-on-found" in arguments else 0
        assert ended.exit_code == expected, (example, ended.exception)
        assert ended.stdout
