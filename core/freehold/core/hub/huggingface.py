"""Models from a hub: Hugging Face, a `freehold mirror`, or any server that speaks its HTTP API."""

import re
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from huggingface_hub import HfApi, ModelInfo, get_hf_file_metadata, hf_hub_url
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils import build_hf_headers

from freehold.core.errors import NotFoundError, OfflineError, RemoteError
from freehold.core.hub.hub_errors import HubAddress, explained
from freehold.core.hub.receive import Receiver
from freehold.core.hub.snapshot import RemoteFile, Snapshot
from freehold.core.hub.transfer import Retries, transfer
from freehold.core.progress import ByteProgress, hint
from freehold.core.settings import DEFAULT_HUB, Settings
from freehold.core.store import FileRecord

KIND = "hub"
DEFAULT_REVISION = "main"
CONCURRENT_FILES = 4
"""A hub limits the speed of one connection; more than four gained nothing and hash against each other."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHA1 = re.compile(r"[0-9a-f]{40}")


class HubSource:
    """One model repository at `settings.hub_endpoint`. Nothing is sent before `resolve` or `fetch`."""

    def __init__(self, repo: str, revision: str | None, settings: Settings, *, retries: Retries | None = None) -> None:
        self._repo = repo
        self._revision = revision or DEFAULT_REVISION
        self._endpoint = settings.hub_endpoint
        self._offline = settings.offline
        self._retries = retries or Retries()
        # The login that `hf auth login` saved is for the public hub and is sent to no other.
        self._token = settings.hub_token or (None if self._endpoint == DEFAULT_HUB else False)
        self._address = HubAddress(self._endpoint, repo, self._revision, has_token=settings.hub_token is not None)

    def resolve(self) -> Snapshot:
        """Pin the revision to a commit and list its files with the digests that the hub promises."""
        self._require_network()
        with explained(self._address):
            info = HfApi(self._endpoint, token=self._token).model_info(
                self._repo, revision=self._revision, files_metadata=True
            )
            if not info.sha:
                raise RemoteError(f"{self._endpoint} names no commit for {self._repo}@{self._revision}")
            files = tuple(self._promise(sibling, info.sha) for sibling in info.siblings or [])
        return Snapshot(KIND, self._repo, self._revision, info.sha, files, _license(info))

    def fetch(
        self, snapshot: Snapshot, files: tuple[RemoteFile, ...], receiver: Receiver, progress: ByteProgress
    ) -> tuple[FileRecord, ...]:
        """Several files at once; the first failure stops the others, whose partials stay for the next try."""
        self._require_network()
        stopped = threading.Event()
        with explained(self._address), ThreadPoolExecutor(CONCURRENT_FILES, "freehold-fetch") as pool:
            tasks = {
                pool.submit(self._fetch_one, snapshot.commit, file, receiver, progress, stopped): file for file in files
            }
            try:
                records = {tasks[task].path: task.result() for task in as_completed(tasks)}
            except BaseException:
                stopped.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return tuple(records[file.path] for file in files)

    def read(self, snapshot: Snapshot, path: str, limit: int) -> bytes:
        """One small file, whole. Raises NotFoundError without it, RemoteError for one of over `limit` bytes."""
        self._require_network()
        promised = next((file for file in snapshot.files if file.path == path), None)
        if promised is None:
            raise NotFoundError(f"{self._repo}@{snapshot.commit} has no {path}")
        if promised.size_bytes > limit:
            raise RemoteError(f"{path} of {self._repo} has {promised.size_bytes} bytes, and {limit} are read")
        with explained(self._address), TemporaryDirectory() as folder:
            api = HfApi(self._endpoint, token=self._token)
            return Path(api.hf_hub_download(self._repo, path, revision=snapshot.commit, local_dir=folder)).read_bytes()

    def _fetch_one(
        self, commit: str, file: RemoteFile, receiver: Receiver, progress: ByteProgress, stopped: threading.Event
    ) -> FileRecord:
        done = receiver.done(file)
        if done:
            return done
        with receiver.begin(file) as incoming:
            url, headers = self._url(file.path, commit), self._headers()
            transfer(url, headers, file, incoming, progress, self._retries, stopped)
            return incoming.finish()

    def _promise(self, sibling: RepoSibling, commit: str) -> RemoteFile:
        path, size = sibling.rfilename, sibling.size
        sha256 = sibling.lfs.sha256 if sibling.lfs else None
        # For an LFS file the blob id is that of the pointer, not of the content.
        blob = sibling.blob_id if sibling.blob_id and not sibling.lfs else None
        if size is None or not (sha256 or blob):
            # Simple hubs and caching proxies list names only; the ETag of a file is its digest there as well.
            metadata = get_hf_file_metadata(self._url(path, commit), token=self._token, endpoint=self._endpoint)
            size, etag = metadata.size, metadata.etag or ""
            sha256 = etag if _SHA256.fullmatch(etag) else None
            blob = etag if _SHA1.fullmatch(etag) else None
        if size is None:
            raise RemoteError(f"{self._endpoint} does not say how large {path} of {self._repo} is")
        if not (sha256 or blob):
            hint(f"{self._endpoint} promises no digest for {path}: only its size can be checked.")
        return RemoteFile(path, size, sha256=sha256, git_blob_sha1=blob)

    def _url(self, path: str, commit: str) -> str:
        return hf_hub_url(self._repo, path, revision=commit, endpoint=self._endpoint)

    def _headers(self) -> dict[str, str]:
        return build_hf_headers(token=self._token, library_name="freehold")

    def _require_network(self) -> None:
        if self._offline:
            raise OfflineError(
                f"{self._repo}@{self._revision} cannot be read from {self._endpoint}",
                why="--offline opens no connection",
                next_step="Pull it once without --offline, or name a local folder.",
            )


def _license(info: ModelInfo) -> str:
    card: Mapping[str, Any] = vars(info.card_data) if info.card_data else {}
    tagged = next((tag.partition(":")[2] for tag in info.tags or [] if tag.startswith("license:")), "")
    found = card.get("license") or tagged
    # `other` says nothing; its card names the license.
    named = card.get("license_name") if found == "other" else None
    return str(named or found)
