"""What the console sends to browsers: headers on every answer, nothing inline, assets as they were pinned."""

import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from fixtures.console import House, browser_of

from freehold.serve.console.assets import FOLDER, asset_url, assets
from freehold.serve.console.rendering import FOLDER as TEMPLATES

PAGES = ("overview", "usage", "keys", "audit", "nothing-of-this-name", "static/nothing.js", "keys/key_0123456789ab")
REQUIRED = {
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


class Inline(HTMLParser):
    """Finds what a strict policy would not run: scripts and styles that are no files."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "style" or (tag == "script" and not given.get("src")):
            self.found.append(f"<{tag}>")
        self.found += [f"{tag} {name}" for name in given if name == "style" or name.startswith("on")]
        urls = [given.get(name) or "" for name in ("src", "href", "action")]
        self.found += [url for url in urls if re.match(r"(https?:)?//|javascript:", url)]


def inline(text: str) -> list[str]:
    parser = Inline()
    parser.feed(text)
    return parser.found


@pytest.mark.slow
async def test_every_answer_has_the_headers(running: House, admin: httpx.AsyncClient) -> None:
    async with browser_of(running) as stranger:
        answers = [await stranger.get(f"/console/{name}") for name in ("sign-in", "overview")]
    answers += [await admin.get(f"/console/{name}") for name in PAGES]
    answers += [await admin.get(asset_url("console.js"))]
    for answer in answers:
        if "static/nothing" in str(answer.url):
            assert answer.status_code == 404
            continue
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'", answer.url
        assert policy["script-src"] == policy["style-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert {name: answer.headers.get(name) for name in REQUIRED} == REQUIRED, answer.url
        if "/static/" not in str(answer.url):
            assert answer.headers["cache-control"] == "no-store", answer.url


@pytest.mark.slow
async def test_no_page_has_anything_inline(admin: httpx.AsyncClient) -> None:
    for name in PAGES:
        answer = await admin.get(f"/console/{name}")
        if answer.headers["content-type"].startswith("text/html"):
            assert inline(answer.text) == [], name


@pytest.mark.parametrize(
    "planted",
    [
        "<script>alert(1)</script>",
        '<p style="color:red">',
        "<b onclick='x()'>",
        "<style>p {}</style>",
        '<script src="https://cdn.example/x.js"></script>',
        '<a href="javascript:x()">',
    ],
)
def test_what_is_inline_would_be_found(planted: str) -> None:
    assert inline(f"<main>{planted}</main>")


async def test_names_are_escaped(running: House, admin: httpx.AsyncClient) -> None:
    running.key(team="<script>alert(1)</script>")
    page = (await admin.get("/console/keys")).text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert inline(page) == []


# -- assets ------------------------------------------------------------------------------------------------------------


def mismatches(folder: Path) -> list[str]:
    """Files of the vendor folder that are not as they were pinned, and those that nobody pinned."""
    pinned = json.loads((folder / "vendor.json").read_text())
    wanted = {f"{name}/{file}": digest for name, about in pinned.items() for file, digest in about["files"].items()}
    there = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "vendor.json"
    }
    return sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))


def test_vendored_assets_are_those_that_were_pinned() -> None:
    assert mismatches(FOLDER / "vendor") == []


def test_a_changed_an_added_and_a_missing_asset_would_be_found(tmp_path: Path) -> None:
    for name, body in assets().items():
        if name.startswith("vendor/"):
            target = tmp_path / name.removeprefix("vendor/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(body)
    assert mismatches(tmp_path) == []
    (tmp_path / "htmx" / "htmx.min.js").write_bytes(assets()["vendor/htmx/htmx.min.js"] + b" ")
    (tmp_path / "uplot" / "more.js").write_bytes(b"")
    (tmp_path / "uplot" / "LICENSE").unlink()
    assert mismatches(tmp_path) == ["htmx/htmx.min.js", "uplot/LICENSE", "uplot/more.js"]


def test_every_library_ships_its_licence() -> None:
    for name, about in json.loads((FOLDER / "vendor" / "vendor.json").read_text()).items():
        assert re.fullmatch(r"sha512-[A-Za-z0-9+/]{86}==", about["integrity"]), name
        assert "LICENSE" in about["files"], name
        assert f"vendor/{name}/LICENSE" in assets()


def test_nothing_of_ours_names_another_host() -> None:
    ours = [path for folder in (FOLDER, TEMPLATES) for path in folder.rglob("*") if "vendor" not in path.parts]
    found = {path.name: re.findall(r"https?://[^\s\"'>)]+", path.read_text()) for path in ours if path.is_file()}
    assert {name: urls for name, urls in found.items() if urls} == {"icon.svg": ["http://www.w3.org/2000/svg"]}


async def test_assets_are_served_with_their_types_and_kept(running: House) -> None:
    async with browser_of(running) as client:
        for name, kind in (("console.css", "text/css"), ("vendor/uplot/uPlot.iife.min.js", "text/javascript")):
            answer = await client.get(asset_url(name))
            assert answer.headers["content-type"].startswith(kind)
            assert "immutable" in answer.headers["cache-control"]
        for outside in ("../rendering.py", "%2e%2e/rendering.py", "..%2frendering.py"):
            assert (await client.get(f"/console/static/{outside}")).status_code in (303, 404), outside
