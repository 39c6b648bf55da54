"""Unmodified clients, each in a process of its own, with HF_ENDPOINT as the only difference from the public hub."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fixtures.mirrors import Server, serving
from fixtures.models import add_artifact, hub_source, read_files

from freehold.core.store import Store
from freehold.serve.mirror.app import build_app

pytestmark = pytest.mark.slow

COMMIT = "e" * 40
REPO = "acme/tiny-llama"


@pytest.fixture
def served(mirror: Server, store: Store, tiny_model: Path) -> Server:
    add_artifact(store, "tiny-llama", read_files(tiny_model), source=hub_source(REPO, COMMIT))
    return mirror


def run_client(url: str, code: str, **environment: str) -> Any:
    """Run `code` as a program; what it prints last is JSON."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HF_ENDPOINT": url, "HF_HUB_DISABLE_PROGRESS_BARS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


SNAPSHOT = f"""
import json
from huggingface_hub import snapshot_download
print(json.dumps(snapshot_download({REPO!r})))
"""


def test_snapshot_download_and_a_second_call_that_fetches_nothing(served: Server, tiny_model: Path) -> None:
    folder = Path(run_client(served.url, SNAPSHOT))
    assert folder.name == COMMIT
    assert read_files(folder) == read_files(tiny_model)

    served.seen.clear()
    assert Path(run_client(served.url, SNAPSHOT)) == folder
    assert not served.gets("model.safetensors")


def test_single_files_ranges_metadata_and_checksums(served: Server, tiny_model: Path) -> None:
    code = f"""
import io, json
from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.file_download import http_get
api, repo = HfApi(), {REPO!r}
path = hf_hub_download(repo, "model.safetensors")
url = hf_hub_url(repo, "model.safetensors")
metadata = get_hf_file_metadata(url)
whole = open(path, "rb").read()
resumed = io.BytesIO()
http_get(url, resumed, resume_size=1000, expected_size=len(whole))
checked = api.verify_repo_checksums(repo)
print(json.dumps({{
    "commit": metadata.commit_hash, "etag": metadata.etag, "size": metadata.size == len(whole),
    "resumed": resumed.getvalue() == whole[1000:],
    "exists": [api.file_exists(repo, "config.json"), api.file_exists(repo, "none"), api.repo_exists("acme/none")],
    "files": sorted(api.list_repo_files(repo)),
    "info": [entry.path for entry in api.get_paths_info(repo, ["config.json"])],
    "tags": [tag.name for tag in api.list_repo_refs(repo).tags],
    "models": [model.id for model in api.list_models(search="tiny")],
    "mismatches": checked.mismatches,
}}))
"""
    seen = run_client(served.url, code)
    assert seen["commit"] == COMMIT
    assert len(seen["etag"]) == 64
    assert seen["size"]
    assert seen["resumed"]
    assert seen["exists"] == [True, False, False]
    assert seen["files"] == sorted(read_files(tiny_model))
    assert seen["info"] == ["config.json"]
    assert len(seen["tags"]) == 1
    assert seen["models"] == [REPO, "freehold/tiny-llama"]
    assert seen["mismatches"] == []
    assert [get.headers.get("Range") for get in served.gets("model.safetensors")] == [None, "bytes=1000-"]


def test_missing_things_raise_the_clients_own_errors(served: Server) -> None:
    code = f"""
import json
from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError
raised = []
for call in (
    lambda: hf_hub_download({REPO!r}, "none.json"),
    lambda: hf_hub_download({REPO!r}, "config.json", revision="v9"),
    lambda: hf_hub_download("acme/none", "config.json"),
    lambda: snapshot_download("acme/none"),
):
    try:
        call()
    except (EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError) as error:
        raised.append(type(error).__name__)
print(json.dumps(raised))
"""
    assert run_client(served.url, code) == [
        "RemoteEntryNotFoundError",
        "RevisionNotFoundError",
        "RepositoryNotFoundError",
        "RepositoryNotFoundError",
    ]


@pytest.mark.parametrize("repo", [REPO, "freehold/tiny-llama"])
def test_transformers_loads_and_generates(served: Server, repo: str) -> None:
    code = f"""
import json
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained({repo!r})
model = AutoModelForCausalLM.from_pretrained({repo!r})
inputs = tokenizer.apply_chat_template(
    [{{"role": "user", "content": "The capital of France?"}}], add_generation_prompt=True, return_tensors="pt",
    return_dict=True,
)
output = model.generate(**inputs, max_new_tokens=4, do_sample=False)
print(json.dumps([model.config.model_type, output.shape[1] - inputs["input_ids"].shape[1] > 0]))
"""
    assert run_client(served.url, code) == ["llama", True]


def test_the_token_travels_as_hf_token(store: Store, tiny_model: Path) -> None:
    add_artifact(store, "tiny-llama", read_files(tiny_model), source=hub_source(REPO, COMMIT))
    refused = """
import json
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError
try:
    HfApi().model_info("acme/tiny-llama")
except HfHubHTTPError as error:
    print(json.dumps(error.response.status_code))
"""
    with serving(build_app(store, token="s3cret")) as server:
        assert run_client(server.url, refused) == 401
        assert run_client(server.url, refused, HF_TOKEN="wrong") == 401
        assert Path(run_client(server.url, SNAPSHOT, HF_TOKEN="s3cret")).name == COMMIT
