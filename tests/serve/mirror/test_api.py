import hashlib
import logging
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fixtures.mirrors import Server, serving
from fixtures.models import add_artifact, hub_source

from freehold.core.store import Artifact, Step, Store
from freehold.serve.mirror.app import build_app

COMMIT = "a" * 40
WEIGHTS = bytes(range(256)) * 40
FILES = {"config.json": b'{"a": 1}', "model.safetensors": WEIGHTS, "sub/deep/x.txt": b"deep", "sub/y z.txt": b"y"}


@pytest.fixture
def artifact(store: Store) -> Artifact:
    return add_artifact(store, "tiny", FILES, source=hub_source("acme/tiny", COMMIT, "v1.0"), license="mit")


@pytest.fixture
def client(mirror: Server, artifact: Artifact) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=mirror.url) as client:
        yield client


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


# -- files -------------------------------------------------------------------------------------------------------------


def test_an_lfs_file_has_the_hubs_headers(client: httpx.Client) -> None:
    for ask in (client.head, client.get):
        answer = ask("/acme/tiny/resolve/main/model.safetensors")
        assert answer.status_code == 200
        assert answer.headers["ETag"] == answer.headers["X-Linked-Etag"] == f'"{sha256(WEIGHTS)}"'
        assert answer.headers["Content-Length"] == answer.headers["X-Linked-Size"] == str(len(WEIGHTS))
        assert answer.headers["X-Repo-Commit"] == COMMIT
        assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.content == WEIGHTS


def test_a_small_file_has_its_git_blob_id_as_etag(client: httpx.Client) -> None:
    answer = client.get("/acme/tiny/resolve/main/config.json")
    assert answer.content == FILES["config.json"]
    assert answer.headers["ETag"] == f'"{git_blob(FILES["config.json"])}"'
    assert "X-Linked-Size" not in answer.headers


def test_names_are_decoded(client: httpx.Client) -> None:
    assert client.get("/acme/tiny/resolve/main/sub/y%20z.txt").content == b"y"
    assert client.get("/acme/tiny/resolve/main/sub%2Fdeep%2Fx.txt").content == b"deep"


def test_ranges(client: httpx.Client) -> None:
    url = "/acme/tiny/resolve/main/model.safetensors"
    part = client.get(url, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, WEIGHTS[100:200])
    assert part.headers["Content-Range"] == f"bytes 100-199/{len(WEIGHTS)}"
    beyond = client.get(url, headers={"Range": f"bytes={len(WEIGHTS)}-"})
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{len(WEIGHTS)}")
    changed = client.get(url, headers={"Range": "bytes=100-", "If-Range": '"other"'})
    assert (changed.status_code, changed.content) == (200, WEIGHTS)
    same = client.get(url, headers={"If-None-Match": f'"{sha256(WEIGHTS)}"'})
    assert (same.status_code, same.content) == (304, b"")


@pytest.mark.parametrize("name", ["main", "v1.0", COMMIT, "{id}", "{digest}"])
@pytest.mark.parametrize("repo", ["acme/tiny", "freehold/tiny"])
def test_revisions(client: httpx.Client, artifact: Artifact, repo: str, name: str) -> None:
    name = name.format(id=artifact.id, digest=artifact.lineage.digest[:40])
    answer = client.get(f"/{repo}/resolve/{name}/config.json")
    if repo == "freehold/tiny" and name in ("v1.0", COMMIT):
        # The source's names belong to the source's repository.
        assert (answer.status_code, answer.headers["X-Error-Code"]) == (404, "RevisionNotFound")
        return
    own = COMMIT if repo == "acme/tiny" else artifact.lineage.digest[:40]
    expected = name if len(name) == 40 else own
    assert answer.headers["X-Repo-Commit"] == expected
    assert client.get(f"/api/models/{repo}/revision/{name}").json()["sha"] == expected


def test_main_is_the_newest_and_older_ones_stay_reachable(client: httpx.Client, store: Store) -> None:
    newer = {**FILES, "config.json": b'{"a": 2}'}
    later = datetime.now(UTC) + timedelta(hours=1)
    add_artifact(store, "tiny", newer, source=hub_source("acme/tiny", "b" * 40), created_at=later)
    assert client.get("/acme/tiny/resolve/main/config.json").json() == {"a": 2}
    assert client.get(f"/acme/tiny/resolve/{COMMIT}/config.json").json() == {"a": 1}


def test_a_changed_artifact_does_not_pass_for_its_source(client: httpx.Client, store: Store) -> None:
    source = hub_source("acme/other-gguf", "b" * 40)
    add_artifact(store, "imported", {"config.json": b"{}"}, source=source, steps=(Step(name="gguf-import"),))
    assert client.get("/acme/other-gguf/resolve/main/config.json").headers["X-Error-Code"] == "RepoNotFound"
    assert client.get("/freehold/imported/resolve/main/config.json").status_code == 200


# -- what is not served ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/acme/none/resolve/main/config.json", "RepoNotFound"),
        ("/api/models/acme/none", "RepoNotFound"),
        ("/api/datasets/acme/tiny", "RepoNotFound"),
        ("/acme/tiny/resolve/v9/config.json", "RevisionNotFound"),
        ("/api/models/acme/tiny/revision/v9", "RevisionNotFound"),
        ("/acme/tiny/resolve/main/none.json", "EntryNotFound"),
        ("/acme/tiny/resolve/main/freehold.json", "EntryNotFound"),
        ("/acme/tiny/resolve/main/sub", "EntryNotFound"),
        ("/acme/tiny/resolve/main/..%2ffreehold.json", "EntryNotFound"),
        ("/acme/tiny/resolve/main/sub/..%2f..%2f..%2f..%2fetc/passwd", "EntryNotFound"),
        ("/acme/tiny/resolve/main/%2fetc%2fpasswd", "EntryNotFound"),
        ("/acme/tiny/resolve/main/config.json%00.txt", "EntryNotFound"),
        ("/api/models/acme/a%0d%0aX-Injected:%201", "RepoNotFound"),
        ("/api/models/acme/tiny/tree/main/none", "EntryNotFound"),
    ],
)
def test_what_is_not_there_is_told_in_the_hubs_terms(client: httpx.Client, path: str, code: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (404, code)
    assert "X-Injected" not in answer.headers
    # Clients remember by the commit that a file does not exist.
    assert answer.headers.get("X-Repo-Commit") == (COMMIT if code == "EntryNotFound" else None)


def test_raw_traversal_on_the_wire(client: httpx.Client) -> None:
    """HTTP clients tidy `..` away before they send it; an attacker does not."""
    url = client.base_url
    with socket.create_connection((url.host, url.port or 80)) as raw:
        raw.sendall(
            b"GET /acme/tiny/resolve/main/../../../../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 404")
    assert b"root:" not in answer


@pytest.mark.parametrize("linked", ["file", "folder"])
def test_a_link_out_of_the_artifact_is_not_followed(
    client: httpx.Client, artifact: Artifact, tmp_path_factory: pytest.TempPathFactory, linked: str
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "x.txt").write_bytes(b"out!")
    victim = artifact.path / "sub" / "deep" / "x.txt"
    victim.unlink()
    if linked == "file":
        victim.symlink_to(outside / "x.txt")
    else:
        victim.parent.rmdir()
        victim.parent.symlink_to(outside, target_is_directory=True)
    answer = client.get("/acme/tiny/resolve/main/sub/deep/x.txt")
    assert answer.status_code == 403
    assert "out!" not in answer.text


def test_a_file_that_changed_its_size_is_not_sent(client: httpx.Client, artifact: Artifact) -> None:
    (artifact.path / "model.safetensors").write_bytes(b"tampered")
    answer = client.get("/acme/tiny/resolve/main/model.safetensors")
    assert answer.status_code == 500
    assert "differs from its lineage" in answer.json()["error"]


def test_one_damaged_lineage_does_not_hide_the_others(
    client: httpx.Client, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    broken = add_artifact(store, "broken", {"a.txt": b"a"})
    (broken.path / "freehold.json").write_text("{")
    assert client.get("/acme/tiny/resolve/main/config.json").status_code == 200
    assert client.get("/api/models/freehold/broken").status_code == 404
    assert "not served" in caplog.text


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/api/models/acme/tiny", "/api/repos/create", "/acme/tiny/resolve/main/config.json"])
def test_writes_are_refused(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(method, path, content=b"{}")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


# -- listings ----------------------------------------------------------------------------------------------------------


def test_model_info(client: httpx.Client) -> None:
    plain = client.get("/api/models/acme/tiny").json()
    assert plain["id"] == "acme/tiny"
    assert plain["sha"] == COMMIT
    assert plain["siblings"] == [{"rfilename": path} for path in FILES]
    assert plain["cardData"] == {"license": "mit"}

    siblings = {
        entry["rfilename"]: entry for entry in client.get("/api/models/acme/tiny?blobs=true").json()["siblings"]
    }
    assert siblings["config.json"] == {
        "rfilename": "config.json",
        "size": 8,
        "blobId": git_blob(FILES["config.json"]),
    }
    assert siblings["model.safetensors"]["lfs"]["sha256"] == sha256(WEIGHTS)


def test_the_id_of_an_lfs_file_is_that_of_its_pointer(client: httpx.Client) -> None:
    pointer = (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256(WEIGHTS)}\nsize {len(WEIGHTS)}\n".encode()
    )
    (entry,) = (e for e in client.get("/api/models/acme/tiny/tree/main").json() if e["path"] == "model.safetensors")
    assert entry["oid"] == git_blob(pointer)
    assert entry["lfs"] == {"oid": sha256(WEIGHTS), "size": len(WEIGHTS), "pointerSize": len(pointer)}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["config.json", "model.safetensors", "sub"]),
        ("?recursive=true", ["config.json", "model.safetensors", "sub", "sub/deep", "sub/deep/x.txt", "sub/y z.txt"]),
        ("/sub", ["sub/deep", "sub/y z.txt"]),
        ("/sub?recursive=1", ["sub/deep", "sub/deep/x.txt", "sub/y z.txt"]),
        ("/sub%2Fdeep?expand=true", ["sub/deep/x.txt"]),
    ],
)
def test_tree(client: httpx.Client, query: str, expected: list[str]) -> None:
    entries = client.get(f"/api/models/acme/tiny/tree/main{query}").json()
    assert [entry["path"] for entry in entries] == expected
    assert all(("lastCommit" in entry) is ("expand" in query) for entry in entries)


def test_long_listings_come_in_pages(client: httpx.Client) -> None:
    url, paths = "/api/models/acme/tiny/tree/main?recursive=true&limit=2", []
    while url:
        answer = client.get(url)
        paths += [entry["path"] for entry in answer.json()]
        url = answer.links.get("next", {}).get("url", "")
    assert len(paths) == len(set(paths)) == 6
    assert client.get("/api/models?limit=0").status_code == 400


def test_models_are_listed_and_searched(client: httpx.Client, store: Store) -> None:
    add_artifact(store, "qwen", {"a.txt": b"a"})
    assert [model["id"] for model in client.get("/api/models").json()] == [
        "acme/tiny",
        "freehold/qwen",
        "freehold/tiny",
    ]
    assert [model["id"] for model in client.get("/api/models?search=QWEN").json()] == ["freehold/qwen"]
    assert [model["id"] for model in client.get("/api/models?author=acme").json()] == ["acme/tiny"]


@pytest.mark.parametrize("form", ["json", "data"])
def test_paths_info_by_json_and_by_form(client: httpx.Client, form: str) -> None:
    question = {"paths": ["config.json", "sub", "none"]}
    answer = client.post("/api/models/acme/tiny/paths-info/main", **{form: question})  # type: ignore[arg-type]
    assert [(entry["path"], entry["type"]) for entry in answer.json()] == [
        ("config.json", "file"),
        ("sub", "directory"),
    ]


def test_refs(client: httpx.Client, artifact: Artifact) -> None:
    refs = client.get("/api/models/acme/tiny/refs").json()
    assert refs["branches"] == [{"name": "main", "ref": "refs/heads/main", "targetCommit": COMMIT}]
    assert {tag["name"]: tag["targetCommit"] for tag in refs["tags"]} == {artifact.id: COMMIT, "v1.0": COMMIT}


# -- token -------------------------------------------------------------------------------------------------------------


def test_a_token_is_asked_for_everywhere_but_for_health(store: Store, artifact: Artifact) -> None:
    with serving(build_app(store, token="s3cret")) as server, httpx.Client(base_url=server.url) as client:
        for path in ("/api/models", "/acme/tiny/resolve/main/config.json", "/nowhere"):
            assert client.get(path).status_code == 401
            assert client.get(path, headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert client.post("/api/repos/create").status_code == 401
        assert client.get("/health").json() == {"status": "ok"}
        allowed = {"Authorization": "Bearer s3cret"}
        assert client.get("/acme/tiny/resolve/main/config.json", headers=allowed).status_code == 200
        assert client.get("/api/whoami-v2", headers=allowed).json()["name"] == "mirror"


def test_a_client_that_leaves_early_does_no_harm(
    client: httpx.Client, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    add_artifact(store, "big", {"model.safetensors": os.urandom(30 << 20)})
    for _ in range(3):
        with client.stream("GET", "/freehold/big/resolve/main/model.safetensors") as answer:
            next(answer.iter_raw())
    assert client.get("/acme/tiny/resolve/main/config.json").status_code == 200
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
