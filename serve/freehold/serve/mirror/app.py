"""The mirror's HTTP API: the part of the Hub's that downloads a model."""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from freehold.core.store import FileRecord, Store
from freehold.serve.mirror import listing
from freehold.serve.mirror.answers import READS_BY_POST, RefusalError, explained, read_only, token_required
from freehold.serve.mirror.blobs import BlobIds
from freehold.serve.mirror.catalogue import MAIN, Catalogue, Repo, Revision
from freehold.serve.mirror.sending import send

PAGE = 1000
"""Entries of one page of a listing, as at the Hub."""
_REPO = "{repo:[^/]+(?:/[^/]+)?}"
"""`owner/name`, or a bare name such as `gpt2`."""


def build_app(store: Store, token: str | None = None) -> web.Application:
    """The application; with a `token`, everything but /health asks for it."""
    checks = [token_required(token)] if token else []
    app = web.Application(middlewares=[explained, *checks, read_only])
    mirror = _Mirror(store)
    app.add_routes(
        [
            web.get("/health", mirror.health),
            web.get("/api/whoami-v2", mirror.whoami),
            web.get("/api/models", mirror.models),
            web.get(f"/api/models/{_REPO}/refs", mirror.refs),
            web.get(f"/api/models/{_REPO}/revision/{{revision}}", mirror.info),
            web.get(f"/api/models/{_REPO}/tree/{{revision}}", mirror.tree),
            web.get(f"/api/models/{_REPO}/tree/{{revision}}/{{path:.+}}", mirror.tree),
            web.post(f"/api/models/{_REPO}/paths-info/{{revision}}", mirror.paths_info, name=READS_BY_POST),
            web.get(f"/api/models/{_REPO}", mirror.info),
            web.get(f"/{_REPO}/resolve/{{revision}}/{{path:.+}}", mirror.resolve),
        ]
    )
    return app


class _Mirror:
    """The handlers. What reads files for their ids runs in a thread; bodies go by sendfile."""

    def __init__(self, store: Store) -> None:
        self._catalogue = Catalogue(store)
        self._blob_ids = BlobIds()

    async def health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def whoami(self, request: web.Request) -> web.Response:
        return web.json_response({"type": "user", "name": "mirror", "fullname": "freehold mirror", "orgs": []})

    async def models(self, request: web.Request) -> web.Response:
        wanted, author = request.query.get("search", "").lower(), request.query.get("author", "")
        chosen = [
            repo
            for repo in self._catalogue.repos().values()
            if wanted in repo.id.lower() and repo.id.startswith(f"{author}/" if author else "")
        ]
        return _page(request, [listing.model_info(repo.main, siblings=None) for repo in chosen])

    async def info(self, request: web.Request) -> web.Response:
        revision = self._revision(request)
        blob_ids = self._blob_ids if _flag(request, "blobs") else None
        siblings = await asyncio.to_thread(listing.siblings, revision, blob_ids)
        return web.json_response(listing.model_info(revision, siblings=siblings))

    async def tree(self, request: web.Request) -> web.Response:
        revision = self._revision(request)
        below = request.match_info.get("path", "").strip("/")
        entries = await asyncio.to_thread(
            listing.tree,
            revision,
            below,
            self._blob_ids,
            recursive=_flag(request, "recursive"),
            expand=_flag(request, "expand"),
        )
        if entries is None:
            raise _no_entry(revision, below)
        return _page(request, entries)

    async def paths_info(self, request: web.Request) -> web.Response:
        revision = self._revision(request)
        paths, expand = await _asked_paths(request)
        entries = await asyncio.to_thread(listing.paths_info, revision, paths, self._blob_ids, expand=expand)
        return web.json_response(entries)

    async def refs(self, request: web.Request) -> web.Response:
        return web.json_response(listing.refs(self._repo(request)))

    async def resolve(self, request: web.Request) -> web.StreamResponse:
        revision = self._revision(request)
        path = request.match_info["path"]
        # An exact name out of the lineage, or nothing: no path that a client sends touches the disk.
        record = _find(revision, path)
        etag = await asyncio.to_thread(self._blob_ids.etag, revision, record)
        return await send(request, revision, record, etag)

    def _repo(self, request: web.Request) -> Repo:
        name = request.match_info["repo"]
        repo = self._catalogue.repos().get(name)
        if repo is None:
            raise RefusalError(404, f"Repository not found: this mirror has no {name}.", "RepoNotFound")
        return repo

    def _revision(self, request: web.Request) -> Revision:
        repo = self._repo(request)
        name = request.match_info.get("revision", MAIN)
        revision = repo.revision(name)
        if revision is None:
            raise RefusalError(404, f"Invalid rev id: {repo.id} has no {name} here.", "RevisionNotFound")
        return revision


def _find(revision: Revision, path: str) -> FileRecord:
    record = revision.files.get(path)
    if record is None:
        raise _no_entry(revision, path)
    return record


def _no_entry(revision: Revision, path: str) -> RefusalError:
    # With the commit in it, clients remember that the file does not exist and ask once only.
    headers = {"X-Repo-Commit": revision.commit}
    return RefusalError(
        404, f"Entry not found: {revision.repo}@{revision.commit} has no {path}.", "EntryNotFound", headers
    )


def _flag(request: web.Request, name: str) -> bool:
    return request.query.get(name, "").lower() in ("1", "true")


async def _asked_paths(request: web.Request) -> tuple[list[str], bool]:
    """`paths` and `expand` of a paths-info question, which comes as JSON or as a form."""
    if request.content_type == "application/json":
        body = await request.json()
        paths = body.get("paths", []) if isinstance(body, dict) else []
        return [str(path) for path in (paths if isinstance(paths, list) else [paths])], bool(body.get("expand"))
    form = await request.post()
    return [str(path) for path in form.getall("paths", [])], str(form.get("expand", "")).lower() in ("1", "true")


def _page(request: web.Request, entries: Sequence[dict[str, Any]]) -> web.Response:
    """One page of a listing; the `Link` header leads to the next one."""
    limit, cursor = _number(request, "limit", PAGE), _number(request, "cursor", 0)
    headers = {}
    if cursor + limit < len(entries):
        following = request.url.update_query(cursor=cursor + limit)
        headers["Link"] = f'<{following}>; rel="next"'
    return web.json_response(entries[cursor : cursor + limit], headers=headers)


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isdecimal() or (name == "limit" and int(text) == 0):
        raise RefusalError(400, f"{name}={text!r} is no number that makes sense here.")
    return int(text)
