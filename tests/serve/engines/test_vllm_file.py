"""vLLM's config file: its own parser must read from it what it reads from a child's command line."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.models import add_artifact

from freehold.core.errors import ConfigError
from freehold.core.store import Store
from freehold.serve.config import ProcessEngine
from freehold.serve.engines.vllm import engine_options, launch
from freehold.serve.engines.vllm_file import file_text, variables_text, with_extra_args

ASK = """
import argparse, contextlib, json, sys
with contextlib.redirect_stdout(sys.stderr):
    from vllm.entrypoints.cli.serve import ServeSubcommand
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    def read(arguments):
        if arguments[0] != "serve":
            return vars(make_arg_parser(FlexibleArgumentParser()).parse_args(arguments))
        parser = FlexibleArgumentParser()
        ServeSubcommand().subparser_init(parser.add_subparsers(dest="subparser"))
        return {k: v for k, v in vars(parser.parse_args(arguments)).items() if k != "subparser"}

    answers = [{k: repr(v) for k, v in read(each).items()} for each in json.load(sys.stdin)]
json.dump(answers, sys.stdout)
"""
"""Asked in a process of its own: the toolkit never imports the engine."""

EXTRA = {
    "a value": ["--seed", "1"],
    "joined": ["--seed=1"],
    "underscores": ["--max_num_seqs", "7"],
    "a negative number": ["--seed", "-1"],
    "a flag": ["--enable-prefix-caching", "--disable-log-stats"],
    "a refusal": ["--no-enable-prefix-caching"],
    "a list": ["--middleware", "a.b", "--allowed-origins", '["https://a.example"]'],
    "a repetition": ["--middleware", "a.b", "--middleware=c.d"],
    "nested": ["--compilation-config", '{"mode": 0}'],
    "dotted": ["--compilation-config.mode", "0"],
    "ours again": ["--dtype", "float16", "--max_model_len=128"],
}


def _options(tmp_path: Path, config: ProcessEngine, **more: Any) -> dict[str, Any]:
    artifact = add_artifact(Store(tmp_path / "store"), "alpha", {"config.json": b"{}"})
    known: dict[str, Any] = {"name": "org/a: b", "host": "0.0.0.0", "port": 8000, "fingerprint": "fh-1"}
    return engine_options(artifact, config, **known, has_gpu=True, **more)


def _command(tmp_path: Path, config: ProcessEngine) -> list[str]:
    """What a child gets, but for the address."""
    artifact = add_artifact(Store(tmp_path / "store"), "alpha", {"config.json": b"{}"})
    python = Path("python")
    known: dict[str, Any] = {"name": "org/a: b", "port": 8000, "fingerprint": "fh-1", "has_gpu": True}
    started = launch(artifact, config, python=python, max_lora_rank=64, environ={}, **known)
    return [text.replace("127.0.0.1", "0.0.0.0") for text in started.command[3:]]


@pytest.mark.engine
@pytest.mark.timeout(300)
def test_vllm_reads_the_file_like_the_command_line(tmp_path: Path) -> None:
    template = tmp_path / "chat.jinja"
    template.write_text("{{ messages }}")
    asked = []
    for case, extra in EXTRA.items():
        fields = {"maxModelLen": 2048, "toolCallParser": "hermes", "chatTemplate": str(template), "extraArgs": extra}
        config = ProcessEngine.model_validate(fields)
        file = tmp_path / f"{case.replace(' ', '-')}.yaml"
        file.write_text(file_text(_options(tmp_path, config, max_lora_rank=64), config.extra_args, "a"))
        asked += [_command(tmp_path, config), ["--config", str(file)], ["serve", "--config", str(file)]]
    ended = subprocess.run(
        [sys.executable, "-c", ASK], input=json.dumps(asked), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    answers = json.loads(ended.stdout)
    for case, command, file_read, serve_read in zip(EXTRA, *(answers[i::3] for i in range(3)), strict=True):
        differing = {key for key in command if key != "config" and command[key] != file_read[key]}
        assert differing == set(), case
        serving = {key for key in command if command[key] != serve_read[key]}
        # The subcommand takes the model as an argument of its own; the rest of its options are the same.
        assert serving <= {"config", "model_tag"}, case
        assert command["model"].endswith("'") and command["fingerprint_value"] == "'fh-1'"
    assert answers[1]["seed"] == "1" and answers[-1]["dtype"] == "'float16'"


def test_the_file_is_yaml_that_keeps_strings(tmp_path: Path) -> None:
    config = ProcessEngine.model_validate({"extraArgs": ["--seed", "1", "--served_thing=true"]})
    content = yaml.safe_load(file_text(_options(tmp_path, config), config.extra_args, "a"))
    assert content["seed"] == "1" and content["served_thing"] == "true" and content["port"] == 8000
    assert content["served-model-name"] == "org/a: b" and content["enable-scale-out"] is True
    assert "enable-lora" not in content and "extraArgs" not in content


def test_what_extra_arguments_name_is_said_once() -> None:
    content = with_extra_args({"dtype": "auto", "port": 1}, ["--dtype", "float16"], "a")
    assert content == {"port": 1, "dtype": "float16"}


@pytest.mark.parametrize(("argument", "told"), [("-tp", "long name"), ("2", "belongs to no option")])
def test_what_a_file_cannot_say_is_refused_with_its_place(argument: str, told: str) -> None:
    with pytest.raises(ConfigError, match=rf"models\.a\.engine\.extraArgs: {argument}: .*{told}"):
        with_extra_args({}, [argument], "a")


def test_a_shell_reads_the_variables(tmp_path: Path) -> None:
    file = tmp_path / "engine.env"
    file.write_text(variables_text({"A": "it's $HOME", "B": ""}))
    ended = subprocess.run(
        [
            "/bin/sh",
            "-ec",
            f". {file}; exec {sys.executable} -c \"import os; print(os.environ['A'], os.environ['B'])\"",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "it's $HOME \n"
