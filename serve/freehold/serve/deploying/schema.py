"""`values.schema.json`: the chart's own keys, with the schema of `DeploymentConfig` under `deployment`.

Helm checks values by it, so it is put such that a typo is told with its place: where pydantic lists alternatives, of
which a validator can only say that none fits, it says which alternative is meant.
"""

import copy
from typing import Any

from freehold.core.config import ConfigModel
from freehold.core.policy import Policy, rules
from freehold.serve import config
from freehold.serve.config import DeploymentConfig
from freehold.serve.config_reference import field_texts

PREFIX = "deployment."
"""Of our definitions among the chart's."""
POLICY_PREFIX = "policy."
_NAMED = ("properties", "patternProperties", "$defs")
"""Keys whose value is schemas by name."""
_AS_IS = ("enum", "const", "required")


def values_schema(chart: dict[str, Any]) -> dict[str, Any]:
    """The merged schema; the chart's is left as it is."""
    schema = copy.deepcopy(chart)
    ours = DeploymentConfig.model_json_schema(by_alias=True, ref_template=f"#/$defs/{PREFIX}{{model}}")
    definitions = ours.pop("$defs")
    for name, definition in definitions.items():
        _describe(definition, getattr(config, name, None))
    _describe(ours, DeploymentConfig)
    schema.setdefault("$defs", {}).update({f"{PREFIX}{name}": _plain(each) for name, each in definitions.items()})
    schema["properties"]["deployment"] = _plain(ours)
    schema["properties"]["policy"] = _policy_schema(schema["$defs"])
    return schema


def _policy_schema(definitions: dict[str, Any]) -> dict[str, Any]:
    """That of `policy.yaml`; its rules are put among the chart's definitions."""
    ours = Policy.model_json_schema(by_alias=True, ref_template=f"#/$defs/{POLICY_PREFIX}{{model}}")
    for name, definition in ours.pop("$defs").items():
        _describe(definition, getattr(rules, name, None))
        definitions[f"{POLICY_PREFIX}{name}"] = _plain(definition)
    _describe(ours, Policy)
    plain: dict[str, Any] = _plain(ours)
    return plain


def _describe(definition: dict[str, Any], model: type[ConfigModel] | None) -> None:
    """Give each property the text that stands under its field."""
    if model is None:
        return
    for name, text in field_texts(model).items():
        definition["properties"][model.model_fields[name].alias or name]["description"] = text


def _plain(node: Any) -> Any:
    """The same rules, for short and precise messages."""
    if isinstance(node, list):
        return [_plain(each) for each in node]
    if not isinstance(node, dict):
        return node
    kept: dict[str, Any] = {}
    for key, value in node.items():
        if key in _NAMED:
            kept[key] = {name: _plain(each) for name, each in value.items()}
        elif key in _AS_IS:
            kept[key] = value
        elif key != "title" and not (key == "default" and isinstance(value, dict | list | None)):
            kept[key] = _plain(value)
    if "patternProperties" in kept:
        kept.setdefault("additionalProperties", False)
    if "oneOf" in kept:
        kept |= _by_kind(kept.pop("oneOf"))
    alternatives = kept.get("anyOf", [])
    if len(alternatives) == 2 and {"type": "null"} in alternatives:
        (other,) = (each for each in kept.pop("anyOf") if each != {"type": "null"})
        kept |= _or_null(other)
    return kept


def _or_null(other: dict[str, Any]) -> dict[str, Any]:
    if isinstance(other.get("type"), str) and not {"enum", "const", "properties", "patternProperties"} & other.keys():
        return {**other, "type": [other["type"], "null"]}
    return {"if": {"not": {"type": "null"}}, "then": other}


def _by_kind(alternatives: list[dict[str, str]]) -> dict[str, Any]:
    """Our one choice of this sort: an engine that does not say its kind is a process."""
    process, ray, remote = ({"$ref": f"#/$defs/{PREFIX}{name}Engine"} for name in ("Process", "Ray", "Remote"))
    assert alternatives == [process, ray, remote], f"a new choice: {alternatives}"
    return _if_kind("remote", remote, _if_kind("ray", ray, process))


def _if_kind(kind: str, this: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    is_it = {"type": "object", "properties": {"kind": {"const": kind}}, "required": ["kind"]}
    return {"if": is_it, "then": this, "else": other}
