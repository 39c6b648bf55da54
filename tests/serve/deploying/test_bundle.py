"""Every image and artifact that values bring in, for those who have to carry them inside."""

from collections.abc import Callable
from typing import Any

from freehold.core.hub.lockfile import LockContent, LockedModel
from freehold.core.store import FileRecord

Listed = Callable[..., list[dict[str, Any]]]
DIGEST = "sha256:" + "0" * 64


def _references(rows: list[dict[str, Any]]) -> list[str]:
    return [row["image"] for row in rows]


def test_images_of_one_model(listed: Listed) -> None:
    rows = listed("images")
    assert rows[0]["image"].startswith("ghcr.io/freehold/freehold:")
    assert rows[1] == {"image": "docker.io/vllm/vllm-openai:v0.32.0", "pinned": False, "used_by": "engine of tiny"}
    assert (rows[2]["image"].startswith("ghcr.io/freehold/freehold-jobs:"), rows[2]["used_by"]) == (
        True,
        "pull of tiny",
    )
    assert len(rows) == 3


def test_a_profile_a_model_and_a_registry_change_them(listed: Listed) -> None:
    deployment = {"models": {name: {"artifact": "tiny"} for name in ("one", "two", "three", "far")}}
    deployment["models"]["far"] = {"engine": {"kind": "remote", "baseUrl": "http://a"}}  # type: ignore[dict-item]
    engines = {
        "one": {"accelerator": {"profile": "amd"}},
        "two": {"image": {"tag": "v0.31.0"}},
        "three": {"multiNode": {"kind": "rayService"}},
    }
    rows = listed(
        "images",
        deployment=deployment,
        engines=engines,
        images={"engine": {"digest": DIGEST}},
        jobs={"tune": {"command": ["finetune", "r.yaml"]}},
        store={"volume": {"accessModes": ["ReadWriteMany"]}},
        **{"global": {"imageRegistry": "registry.example/mirror/"}},
    )
    begin = "registry.example/mirror/"
    assert set(_references(rows)[1:4]) == {
        f"{begin}vllm/vllm-openai-rocm@{DIGEST}",
        f"{begin}vllm/vllm-openai@{DIGEST}",
        f"{begin}freehold/freehold-ray:v0.32.0",
    }
    assert all(reference.startswith(begin) for reference in _references(rows))
    assert rows[-1]["used_by"] == "pull of tiny, job tune" and sum(row["pinned"] for row in rows) == 2


def test_artifacts_and_what_is_locked(listed: Listed) -> None:
    files = (FileRecord(path="a", size_bytes=3, sha256="0" * 64), FileRecord(path="b", size_bytes=4, sha256="1" * 64))
    locked = LockedModel(kind="hub", location="owner/tiny", revision="main", commit="0123", files=files)
    lock = LockContent(models={"owner/tiny": locked})
    rows = listed(
        "artifacts",
        deployment={"models": {"tiny": {"artifact": "tiny", "adapters": {"a": {"artifact": "support"}}}}},
        artifacts={
            "tiny": {"source": "owner/tiny@0123", "lock": lock.model_dump_json()},
            "support": {"existing": True},
        },
    )
    tiny, support = sorted(rows, key=lambda row: str(row["name"]), reverse=True)
    assert (tiny["source"], tiny["locked"], tiny["files"], tiny["size_bytes"]) == ("owner/tiny@0123", True, 2, 7)
    assert tiny["used_by"] == "models.tiny" and tiny["lock"]["models"]["owner/tiny"]["commit"] == "0123"
    assert (support["source"], support["locked"], support["used_by"]) == (
        "in the store already",
        False,
        "models.tiny.adapters.a",
    )
