"""Where a request names a file by URL.

Two looks at a body. `may_name_urls` is the cheap one: it parses nothing, may say yes in vain, and never says no to a
body in which `find_places` would find something. `find_places` is the exact one.

Why it cannot be walked around: what decides is the shape, wherever it stands. `image_url: "…"` and `image_url: {url:
"…"}` are looked at in a chat message, in a Responses item, in a tool's result, in a document to rerank, whatever the
path of the request, the `type` beside it, or the order in which an engine tries a part's keys. So a new endpoint or a
new container needs no change here, and a part that is two things at once is checked as both. Only `FREE_FORM` is left
out, by name: schemas, tool arguments and template variables, which engines hand to grammars and templates as data. A
URL in a text is text, and the bare `url` of a citation is none of these shapes.

The shapes are those of vLLM 0.32 (`renderers/chat_utils.py`, `entrypoints/*/protocol.py`), of mistral-common, which
opens what it is given by itself, and of the APIs:
https://platform.openai.com/docs/api-reference/responses/create, https://docs.anthropic.com/en/api/messages,
https://docs.cohere.com/reference/embed
"""

import re
from dataclasses import dataclass
from typing import Any

_URL_KEYS = frozenset({"image_url", "video_url", "audio_url", "file_url", "document_url"})
"""What stands here must be a URL: other than `data:` it is fetched or refused, and so is a bare path of a file."""

_FILE_KEYS = frozenset({"image", "images", "input_image", "video", "input_video", "audio", "input_audio"})
"""What stands here may also be bare base64, which is left alone."""

_HOLDERS = _URL_KEYS | _FILE_KEYS | {"source"}
_MEDIA_TYPES = frozenset(
    {
        *("image", "image_url", "input_image", "audio", "audio_url", "input_audio"),
        *("video", "video_url", "input_video", "document", "file", "input_file"),
    }
)
"""In a part of these types a `url` of its own is a place too: `{"type": "image", "url": "…"}`."""

_DOCUMENT_KEYS = frozenset({"file_url", "document_url", "source"})

FREE_FORM = frozenset(
    {
        *("tools", "tool_choice", "tool_calls", "functions", "function_call", "arguments", "parameters"),
        *("response_format", "structured_outputs", "guided_json", "schema", "json_schema", "input_schema"),
        *("text", "metadata", "chat_template_kwargs"),
    }
)

# Each key whose value is not a `data:` URL, not an object (its own `url` is seen by itself), and not null. The
# possessive blanks keep the lookahead from being tried on a blank.
_KEY = re.compile(
    rb'"(?:url|(?:image|video|audio|file|document)_url|images?|video|audio|input_(?:image|video|audio))"'
    rb'\s*+:\s*+(?!"(?i:data:)|[{n])'
)
# Whatever `_KEY` finds begins like this, and this is found in a third of the time.
_KEY_START = re.compile(rb'"(?:url|image|video|audio|input_|file_|document_)')
# No encoder escapes a lower-case letter or an underscore: who does hides a key.
_ESCAPED_KEY = re.compile(rb"\\u00(?:5[fF]|6[0-9a-fA-F]|7[0-9aA])")
_URL_LIKE = re.compile(r"\s*(?:[a-z][a-z0-9+.-]{0,30}:|//[^/]*\.)", re.IGNORECASE)
_IGNORED_BY_PARSERS = re.compile(r"[\x00-\x1f\x7f\u200b-\u200d\ufeff]")


@dataclass(frozen=True, slots=True)
class Place:
    """A URL in a document. `param` is its path as an error names it: `messages[0].content[1].image_url.url`."""

    holder: Any
    key: str | int
    param: str
    url: str
    takes_documents: bool
    """Whether a PDF may be here."""
    is_source: bool
    """Anthropic's `source`, which has a form of its own for a file that is in the request."""

    def put(self, media_type: str, base64: str) -> None:
        """Replace the URL by the file itself; this changes the document that the place was found in."""
        if self.is_source:
            del self.holder["url"]
            self.holder.update(type="base64", media_type=media_type, data=base64)
        else:
            self.holder[self.key] = f"data:{media_type};base64,{base64}"


def may_name_urls(body: bytes) -> bool:
    """False if a JSON body certainly names no file by URL; linear, half a microsecond for a small body."""
    # JSON in UTF-16 or UTF-32 hides every key from a search for ASCII, and is full of NUL.
    # One character is sought ten times as fast as several, and base64 has no backslash.
    if b"\0" in body or (b"\\" in body and b"\\u00" in body and _ESCAPED_KEY.search(body)):
        return True
    return _KEY_START.search(body) is not None and _KEY.search(body) is not None


def find_places(document: Any) -> list[Place]:
    """Every URL in a parsed request that has to be fetched or refused. Raises RecursionError."""
    found: list[Place] = []
    if isinstance(document, dict | list):
        _walk(document, "", "", found)
    return found


def _walk(node: dict[str, Any] | list[Any], path: str, name: str, found: list[Place]) -> None:
    """`name` is the key under which the node stands, or the list that it is in."""
    if isinstance(node, list):
        for index, value in enumerate(node):
            if isinstance(value, int | float):  # a prompt of a million tokens
                continue
            _look(node, index, value, f"{path}[{index}]", name, name, found)
        return
    for key, value in node.items():
        # The top-level `input` is that of the Responses and the embeddings API; below it, a tool's arguments.
        if isinstance(value, str) or not (key in FREE_FORM or (key == "input" and path)):
            _look(node, key, value, f"{path}.{key}" if path else key, key, name, found)


def _look(holder: Any, key: str | int, value: Any, param: str, label: str, parent: str, found: list[Place]) -> None:
    if isinstance(value, dict | list):
        _walk(value, param, label, found)
    elif isinstance(value, str) and value and _is_place(holder, label, parent, value):
        is_source = parent == "source" and key == "url"
        found.append(Place(holder, key, param, value, bool({label, parent} & _DOCUMENT_KEYS), is_source))


def _is_place(holder: Any, label: str, parent: str, value: str) -> bool:
    if value[:5].lower() == "data:":
        return False
    if label in _FILE_KEYS:
        return _URL_LIKE.match(_IGNORED_BY_PARSERS.sub("", value[:256])) is not None
    if label == "url" and isinstance(holder, dict):
        kind = holder.get("type")
        return parent in _HOLDERS or (isinstance(kind, str) and kind in _MEDIA_TYPES)
    return label in _URL_KEYS
