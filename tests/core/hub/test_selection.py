"""Which files are taken and which are refused."""

import json
from pathlib import Path

import pytest

from freehold.core.errors import NotFoundError, RefusedError, UserError
from freehold.core.hub.selection import Allowed, check_remote_code, select
from freehold.core.hub.snapshot import RemoteFile, Snapshot


def _snapshot(*names: str) -> Snapshot:
    return Snapshot("hub", "org/model", "main", "c", tuple(RemoteFile(name, len(name)) for name in names))


def _kept(*names: str, allowed: Allowed | None = None, gguf: str | None = None) -> set[str]:
    return {file.path for file in select(_snapshot(*names), allowed or Allowed(), gguf).files}


def test_safetensors_are_taken_and_every_other_format_is_left() -> None:
    names = ("config.json", "model.safetensors", "pytorch_model.bin", "onnx/model.onnx", "model.gguf", "tf_model.h5")
    assert _kept(*names) == {"config.json", "model.safetensors"}


def test_small_files_come_first() -> None:
    selection = select(_snapshot("model.safetensors", "a.json"), Allowed())
    assert [file.path for file in selection.files] == ["a.json", "model.safetensors"]


def test_weights_published_twice_are_taken_once() -> None:
    names = ("model-00001-of-00001.safetensors", "consolidated.safetensors", "tekken.json")
    assert _kept(*names) == {"model-00001-of-00001.safetensors", "tekken.json"}
    assert _kept("consolidated.safetensors", "params.json") == {"consolidated.safetensors", "params.json"}


def test_pickled_weights_are_refused_with_the_flag() -> None:
    with pytest.raises(RefusedError, match="pickled weights only") as caught:
        _kept("config.json", "pytorch_model.bin")
    assert "--allow-pickle" in caught.value.next_step
    assert "pytorch_model.bin" in _kept("config.json", "pytorch_model.bin", allowed=Allowed(pickle=True))


def test_a_repository_without_weights_is_not_found() -> None:
    with pytest.raises(NotFoundError, match="holds no weights"):
        _kept("README.md")


def test_one_gguf_is_taken_several_must_be_chosen_from() -> None:
    assert _kept("README.md", "m.Q4_K_M.gguf") == {"m.Q4_K_M.gguf"}
    with pytest.raises(UserError, match="holds 2 GGUF files"):
        _kept("a.gguf", "b.gguf")
    assert _kept("a.gguf", "b.gguf", "model.safetensors", gguf="b.gguf") == {"b.gguf"}
    with pytest.raises(NotFoundError, match="No GGUF file 'c.gguf'"):
        _kept("a.gguf", gguf="c.gguf")


def test_code_is_left_unless_allowed() -> None:
    assert "modeling.py" not in _kept("model.safetensors", "modeling.py")
    assert "modeling.py" in _kept("model.safetensors", "modeling.py", allowed=Allowed(remote_code=True))


@pytest.mark.parametrize(
    ("config", "refused"),
    [
        ({"model_type": "llama"}, False),
        ({"model_type": "llama", "auto_map": {"AutoModel": "modeling.X"}}, False),
        ({"model_type": "something-new", "auto_map": {"AutoModel": "modeling.X"}}, True),
    ],
)
def test_only_a_model_that_needs_the_code_is_refused(tmp_path: Path, config: object, refused: bool) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    check_remote_code(tmp_path, "org/model", Allowed(remote_code=True))
    if refused:
        with pytest.raises(RefusedError, match="something-new") as caught:
            check_remote_code(tmp_path, "org/model", Allowed())
        assert "--allow-remote-code" in caught.value.next_step
    else:
        check_remote_code(tmp_path, "org/model", Allowed())


def test_a_tokenizer_that_needs_code_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"auto_map": {"AutoTokenizer": ["tok.T", None]}}))
    with pytest.raises(RefusedError, match="tokenizer_config.json"):
        check_remote_code(tmp_path, "org/model", Allowed())
    (tmp_path / "tokenizer.json").write_text("{}")
    check_remote_code(tmp_path, "org/model", Allowed())
