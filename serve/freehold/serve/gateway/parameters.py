"""Refuse request parameters that would change the answer and that the engine ignores; name those that would not.

vLLM takes unknown fields and only logs them: an application that asks for audio would get text and not know why. What
it ignores is data: parameters.yaml, beside this file.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml

from freehold.serve.gateway.errors import RequestError

NOT_HONOURED = b"x-freehold-not-honoured"
"""Header of an answer: the hints of its request that had no effect."""

_DATA = Path(__file__).with_name("parameters.yaml")


@dataclass(frozen=True, slots=True)
class Rule:
    """One parameter that an engine ignores."""

    parameter: str
    """Where it stands in the body, for example `tools[].type`."""
    action: Literal["refuse", "hint"]
    why: str
    harmless: tuple[Any, ...] = ()
    needs: str = ""
    """The ability with which an engine honours it."""

    @property
    def steps(self) -> tuple[str, ...]:
        """Keys from the top; `[]` stands for each item of a list."""
        return tuple(self.parameter.replace("[]", ".[]").split("."))


class _Path(NamedTuple):
    """The rules of one relayed path, by the top-level key that each begins with."""

    by_key: dict[str, tuple[tuple[Rule, tuple[str, ...]], ...]]
    keys: frozenset[str]


@cache
def rules() -> dict[str, tuple[Rule, ...]]:
    """Every rule by relayed path, as parameters.yaml has them."""
    document = yaml.safe_load(_DATA.read_text())
    return {
        path: tuple(
            Rule(name, action, entry["why"], tuple(entry.get("harmless", ())), entry.get("needs", ""))
            for action in ("refuse", "hint")
            for name, entry in groups.get(action, {}).items()
        )
        for path, groups in document.items()
    }


@cache
def unread_fields() -> dict[str, frozenset[str]]:
    """By relayed path, what vLLM's request model takes as a field and vLLM's code never reads."""
    return {path: frozenset(groups["unread"]) for path, groups in yaml.safe_load(_DATA.read_text()).items()}


def _compile() -> dict[str, _Path]:
    compiled = {}
    for path, all_rules in rules().items():
        by_key: dict[str, tuple[tuple[Rule, tuple[str, ...]], ...]] = {}
        for rule in all_rules:
            top, *rest = rule.steps
            by_key[top] = (*by_key.get(top, ()), (rule, tuple(rest)))
        compiled[path] = _Path(by_key, frozenset(by_key))
    return compiled


_PATHS = _compile()


def check_parameters(path: str, fields: Mapping[str, Any], abilities: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """The hints among a request's parsed top-level `fields` that its engine will not honour.

    `abilities` are the engine's (`engine_abilities`). Only for engines that are vLLM: what another one ignores is not
    known. Raises RequestError for the first parameter that would change the answer.
    """
    concerned = _PATHS.get(path)
    if concerned is None or concerned.keys.isdisjoint(fields):
        return ()
    hints: list[str] = []
    for key, value in fields.items():
        for rule, steps in concerned.by_key.get(key, ()):
            asked = [found for found in _values(value, steps) if found is not None and found not in rule.harmless]
            if not asked or rule.needs in abilities:
                continue
            if rule.action == "refuse":
                raise _refusal(rule, _place(value, steps, asked[0], key), asked[0])
            hints.append(rule.parameter)
    return tuple(sorted(hints))


def _values(value: Any, steps: tuple[str, ...]) -> list[Any]:
    """Every value that the steps lead to. Breadth first: a long conversation costs a few microseconds."""
    found = [value]
    for step in steps:
        if step == "[]":
            found = [item for each in found if type(each) is list for item in each]
        else:
            found = [each[step] for each in found if type(each) is dict and step in each]
        if not found:
            break
    return found


def _place(value: Any, steps: tuple[str, ...], wanted: Any, place: str) -> str:
    """Where below `place` the steps lead to `wanted` first, for example `tools[1].type`; empty if nowhere."""
    if not steps:
        return place if value is wanted else ""
    below: list[tuple[Any, str]] = []
    if steps[0] == "[]" and type(value) is list:
        below = [(item, f"{place}[{index}]") for index, item in enumerate(value)]
    elif type(value) is dict and steps[0] in value:
        below = [(value[steps[0]], f"{place}.{steps[0]}")]
    return next((found for item, there in below if (found := _place(item, steps[1:], wanted, there))), "")


def _refusal(rule: Rule, place: str, value: Any) -> RequestError:
    shown = f" {json.dumps(value)}" if isinstance(value, str | int | float) and len(str(value)) < 60 else ""
    alternatives = ", ".join(json.dumps(choice) for choice in rule.harmless)
    return RequestError(
        f"The parameter '{place}'{shown} is not supported",
        why=rule.why,
        next_step=f"Leave it out{f' or send {alternatives}' if alternatives else ''}.",
        code="unsupported_parameter",
        param=place,
    )


def not_honoured_line(hints: tuple[str, ...]) -> bytes:
    """The header that names `hints`."""
    return b"%b: %b\r\n" % (NOT_HONOURED, ", ".join(hints).encode())
