"""The config file of an engine that another starts (`vllm serve --config FILE`), and its variables for a shell.

vLLM makes of each key `--key`, of a list several values, of `true` a flag (`FlexibleArgumentParser.load_config_file`).
So the file says what the command line of a child would (`vllm.engine_options`), `extraArgs` included.
"""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

import yaml

from freehold.core.errors import ConfigError
from freehold.serve.engines.vllm import Option

FileValue = Option | list[str]
"""Strings stay strings: vLLM reads `"1"` as it would on its command line."""

_NUMBER = re.compile(r"-\d+(\.\d+)?$")


def file_text(options: Mapping[str, Option], extra_args: Sequence[str], model: str) -> str:
    """The file. Raises ConfigError for `extraArgs` that no file can say."""
    return yaml.safe_dump(with_extra_args(options, extra_args, model), sort_keys=False, allow_unicode=True)


def with_extra_args(options: Mapping[str, Option], extra_args: Sequence[str], model: str) -> dict[str, FileValue]:
    """The options, then those of `extraArgs`; what both name is as `extraArgs` have it. Raises ConfigError."""
    extra, problems = _read(extra_args)
    if problems:
        place = f"models.{model}.engine.extraArgs"
        raise ConfigError("vLLM's config file cannot say this", [f"{place}: {problem}" for problem in problems])
    named = {_plain(option) for option, _ in extra}
    content: dict[str, FileValue] = {key: value for key, value in options.items() if key not in named}
    keys = [_plain(option) for option, _ in extra]
    for option, values in extra:
        if keys.count(_plain(option)) > 1:  # a map has each key once: these become `--option=value`, in their order
            content |= {f"{option}={value}": True for value in values}
        else:
            content[option] = True if not values else values[0] if len(values) == 1 else values
    return content


def variables_text(variables: Mapping[str, str]) -> str:
    """Lines for a shell's `.`: each variable is exported."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


def _read(arguments: Iterable[str]) -> tuple[list[tuple[str, list[str]]], list[str]]:
    """Each long option with its values, and what cannot be read."""
    found: list[tuple[str, list[str]]] = []
    problems = []
    for argument in arguments:
        if argument.startswith("--"):
            option, has_value, value = argument.removeprefix("--").partition("=")
            found.append((option, [value] if has_value else []))
        elif argument.startswith("-") and not _NUMBER.match(argument):
            problems.append(f"{argument}: the option by its long name, with two dashes")
        elif not found:
            problems.append(f"{argument}: it belongs to no option")
        else:
            found[-1][1].append(argument)
    return found, problems


def _plain(option: str) -> str:
    """As vLLM reads it."""
    return option.replace("_", "-")
