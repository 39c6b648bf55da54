"""Which files of a snapshot are taken, and which are refused: pickled weights and code of the repository."""

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from freehold.core.errors import NotFoundError, RefusedError, UserError
from freehold.core.hub.snapshot import RemoteFile, Snapshot

PICKLED = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib"}
OTHER_FORMATS = {".onnx", ".onnx_data", ".tflite", ".h5", ".msgpack", ".ot", ".mlmodel", ".mlpackage", ".engine"}
OTHER_FOLDERS = {"onnx", "original", "metal", "coreml", "openvino", "flax", "tf"}
CODE = {".py"}
SMALL_BYTES = 32 << 20
"""Configs and tokenizers are below this. They come first: a refusal then costs no weights."""


@dataclass(frozen=True)
class Allowed:
    """Unsafe things that the user allowed by name."""

    pickle: bool = False
    remote_code: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        flags = (("pickle", self.pickle), ("remote-code", self.remote_code))
        return tuple(name for name, given in flags if given)


@dataclass(frozen=True)
class Selection:
    """What to fetch, in the order small files first, and what was left out."""

    files: tuple[RemoteFile, ...]
    left_out: tuple[RemoteFile, ...]
    gguf: RemoteFile | None = None
    """Set when the weights are a GGUF file that has to be imported."""

    @property
    def small(self) -> tuple[RemoteFile, ...]:
        return tuple(file for file in self.files if file.size_bytes <= SMALL_BYTES)

    @property
    def large(self) -> tuple[RemoteFile, ...]:
        return tuple(file for file in self.files if file.size_bytes > SMALL_BYTES)


def select(snapshot: Snapshot, allowed: Allowed, gguf_name: str | None = None) -> Selection:
    """Choose the files of one model in one format.

    Raises RefusedError (only pickled weights), NotFoundError (no weights, no such GGUF), UserError (several GGUF).
    """
    suffixes = {PurePosixPath(file.path).suffix for file in snapshot.files}
    if gguf_name or (".gguf" in suffixes and ".safetensors" not in suffixes):
        return _select_gguf(snapshot, gguf_name)
    unwanted = OTHER_FORMATS | {".gguf"}
    if ".safetensors" in suffixes:
        unwanted |= PICKLED
    elif not suffixes & PICKLED:
        listed = ", ".join(file.path for file in snapshot.files[:8])
        raise NotFoundError(
            f"{snapshot.location} holds no weights", why=f"it holds {listed}", next_step="Name another repository."
        )
    elif not allowed.pickle:
        raise RefusedError(
            f"{snapshot.location} has pickled weights only",
            why="loading a pickle runs whatever code it contains",
            next_step="Look for a safetensors conversion, or add --allow-pickle if you trust its publisher.",
        )
    whole_folder = any(PurePosixPath(file.path).match("model*.safetensors") for file in snapshot.files)
    kept: list[RemoteFile] = []
    dropped: list[RemoteFile] = []
    for file in snapshot.files:
        path = PurePosixPath(file.path)
        # Mistral publishes the same weights twice; vLLM and transformers both read `model*.safetensors`.
        twice = whole_folder and path.match("consolidated*.safetensors")
        is_code = path.suffix in CODE and not allowed.remote_code
        out = (
            path.suffix in unwanted
            or path.parts[0] in OTHER_FOLDERS
            or is_code
            or twice
            or path.name == ".gitattributes"
        )
        (dropped if out else kept).append(file)
    return Selection(tuple(sorted(kept, key=lambda file: file.size_bytes)), tuple(dropped))


def _select_gguf(snapshot: Snapshot, name: str | None) -> Selection:
    offered = [file for file in snapshot.files if file.path.endswith(".gguf")]
    chosen = [file for file in offered if name is None or file.path == name or PurePosixPath(file.path).name == name]
    listed = ", ".join(file.path for file in offered) or "none"
    if not chosen:
        raise NotFoundError(f"No GGUF file {name!r} in {snapshot.location}", why=f"it holds {listed}")
    if len(chosen) > 1:
        raise UserError(
            f"{snapshot.location} holds {len(chosen)} GGUF files",
            why=listed,
            next_step="Choose one with --gguf NAME; the largest has lost the least.",
        )
    rest = tuple(file for file in snapshot.files if file is not chosen[0])
    return Selection((chosen[0],), rest, gguf=chosen[0])


def check_remote_code(folder: Path, location: str, allowed: Allowed) -> None:
    """Refuse a model that only its repository's own code can load. `folder` holds the small files."""
    config, tokenizer = _json(folder / "config.json"), _json(folder / "tokenizer_config.json")
    needs = []
    if "auto_map" in config and not _is_native(str(config.get("model_type", ""))):
        needs.append(f"config.json names code of the repository for model_type {config.get('model_type')!r}")
    if "auto_map" in tokenizer and not (folder / "tokenizer.json").is_file():
        needs.append("tokenizer_config.json names code of the repository for the tokenizer")
    if needs and not allowed.remote_code:
        raise RefusedError(
            f"{location} needs code of its own repository",
            why="; ".join(needs) + ", and this version of transformers has no implementation",
            next_step="Read that code first. If you trust it, add --allow-remote-code.",
        )


def _is_native(model_type: str) -> bool:
    try:
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
    except ImportError:
        return False
    return model_type in CONFIG_MAPPING_NAMES


def _json(path: Path) -> dict[str, object]:
    if not path.is_file():
        return {}
    loaded = json.loads(path.read_bytes())
    return loaded if isinstance(loaded, dict) else {}
