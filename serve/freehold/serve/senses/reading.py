"""From an artifact's files to its senses."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from freehold.serve.senses.images import Fitted, Fixed, ImageRule, Patches, Rows
from freehold.serve.senses.senses import Modality, Senses
from freehold.serve.senses.sounds import Sound

_DATA = Path(__file__).with_name("rules.yaml")
_PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json")
_HINTS = {
    Modality.IMAGE: frozenset({"vision", "visual", "image", "images", "img"}),
    Modality.AUDIO: frozenset({"audio", "speech", "sound", "mel", "whisper"}),
    Modality.VIDEO: frozenset({"video", "vision", "visual"}),
}
"""Words in the names of keys of `config.json` (or `params.json`) where a model has that sense."""
_KWARGS = "--mm-processor-kwargs"

Files = Mapping[str, Mapping[str, Any]]


def read_senses(folder: Path, extra_args: tuple[str, ...] = ()) -> Senses | None:
    """The senses of the model in `folder`, served with these further arguments; None where its files do not tell."""
    files = _read(folder, extra_args)
    kinds = list(_kinds(files))
    if not kinds:
        return None
    image = next((_image_rule(rule, files) for rule in rules()["images"] if _is_of(rule, kinds)), None)
    sounds = [rule for rule in rules()["sounds"] if _is_of(rule, kinds)]
    takes = {modality for modality, words in _HINTS.items() if _mentions(files, words)}
    takes |= {Modality.IMAGE} if image is not None else set()
    takes |= {Modality.AUDIO} if sounds else set()
    if not takes and any((folder / name).is_file() for name in _PROCESSOR_FILES):
        return None
    sound, heard = (_sound(sounds[0]), sounds[0].get("heard")) if sounds else (None, None)
    return Senses(frozenset(takes), image, sound, _sound(heard) if heard else sound)


@cache
def rules() -> dict[str, list[dict[str, Any]]]:
    """Every rule, as `rules.yaml` has them."""
    found: dict[str, list[dict[str, Any]]] = yaml.safe_load(_DATA.read_text())
    return found


def _read(folder: Path, extra_args: tuple[str, ...]) -> Files:
    config, preprocessor = _json(folder / "config.json"), _json(folder / "preprocessor_config.json")
    processor = _json(folder / "processor_config.json")
    return {
        "config": config,
        "params": _json(folder / "params.json"),
        "processor": processor,
        "image": preprocessor | _below(processor, "image_processor") | _kwargs(extra_args),
        "audio": preprocessor | _below(processor, "feature_extractor"),
    }


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_bytes())
    except ValueError:  # the engine will say so; here nothing is known of it
        return {}
    return found if isinstance(found, dict) else {}


def _below(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def _kwargs(extra_args: tuple[str, ...]) -> dict[str, Any]:
    """What the engine is told to give its processor."""
    for place, argument in enumerate(extra_args):
        option, _, value = argument.replace("_", "-").partition("=")
        if option == _KWARGS:
            value = argument.partition("=")[2] or "".join(extra_args[place + 1 : place + 2])
            try:
                found = json.loads(value)
            except ValueError:
                return {}
            return found if isinstance(found, dict) else {}
    return {}


def _kinds(files: Files) -> Iterator[str]:
    """Names by which rules may know the model."""
    if isinstance(kind := files["config"].get("model_type"), str):
        yield kind
    yield from (name for name in files["config"].get("architectures") or () if isinstance(name, str))
    if "vision_encoder" in files["params"]:
        yield "mistral-params"
    if "audio_encoder" in json.dumps(files["params"]):
        yield "voxtral-params"
    if files["params"] and not files["config"]:
        yield "params"


def _is_of(rule: Mapping[str, Any], kinds: list[str]) -> bool:
    return any(kind in rule["models"] for kind in kinds)


def _mentions(files: Files, words: frozenset[str]) -> bool:
    keys = (*_keys(files["config"]), *_keys(files["params"]))
    return any(not words.isdisjoint(key.split("_")) for key in keys)


def _keys(document: Mapping[str, Any]) -> Iterator[str]:
    for key, value in document.items():
        if value is not None:
            yield key
        if isinstance(value, dict):
            yield from _keys(value)


def _image_rule(rule: Mapping[str, Any], files: Files) -> ImageRule:
    number = {name: _number(entry, files) for name, entry in rule["numbers"].items()}
    if rule["rule"] == "patches":
        unit = number["patch"] * number["merge"]
        bounds = (number["min_pixels"], number["max_pixels"])
        return Patches(unit, *bounds, number.get("frames", 1), rule.get("grows", False))
    if rule["rule"] == "fitted":
        return Fitted(number["patch"] * number["merge"] * number["expand"], number["min_tokens"], number["max_tokens"])
    if rule["rule"] == "rows":
        return Rows(number["patch"] * number["merge"], number["longest_edge"], rule.get("rounds", False))
    if rule["rule"] == "tiles":  # each tile is followed by a separator, and the whole stands between two marks
        return Fixed(number["most"] * (number["each"] + 1) + number["whole"] + 3)
    assert rule["rule"] == "fixed", f"rules.yaml has a rule {rule['rule']!r}"
    return Fixed(number["count"] + rule["around"])


def _number(entry: Mapping[str, Any], files: Files) -> int:
    for place in entry["at"]:
        found: Any = files
        for step in place.split("."):
            found = found.get(step) if isinstance(found, Mapping) else None
        if isinstance(found, Mapping):  # a patch's height and width, which are equal
            found = found.get("height")
        if isinstance(found, int) and not isinstance(found, bool) and found > 0:
            return found
    default: int = entry["default"]
    return default


def _sound(rule: Mapping[str, Any]) -> Sound:
    return Sound(**{name: rule[name] for name in Sound.__struct_fields__ if name in rule})
