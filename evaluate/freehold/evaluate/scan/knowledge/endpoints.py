"""URLs of closed models' APIs: `endpoints.yaml`."""

import re
from dataclasses import dataclass
from functools import cache

from freehold.evaluate.scan.knowledge.data import read_data

URL = re.compile(r"(?:(?:https?|wss?):)?//(?:[^\s/@'\"`]*@)?([A-Za-z0-9*{}$_.-]+)(:\d+)?(/[^\s'\"`<>()\\?#,;]*)?")
BARE = re.compile(r"(?<![\w.@/-])([a-z0-9*-]+(?:\.[a-z0-9*-]+)+)(?::\d+)?(/[^\s'\"`<>()\\?#,;]*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One URL, less what may be secret in it: no user, no query."""

    at: int
    """Where in the text it begins."""
    host: str
    path: str
    provider: str
    speaks: bool
    """The gateway has the same API, so that another base URL is enough."""

    @property
    def value(self) -> str:
        return f"{self.host}{self.path}"


def find_endpoints(text: str) -> list[Endpoint]:
    """Every URL of a closed model's API in a text; also a host without its scheme, if the text is nothing else."""
    found = [_endpoint(match.start(), match[1], match[3] or "") for match in URL.finditer(text)]
    if not found and (match := BARE.fullmatch(text.strip())):
        found = [_endpoint(0, match[1], match[2] or "")]
    return [each for each in found if each is not None]


def _endpoint(at: int, host: str, path: str) -> Endpoint | None:
    host = host.lower().rstrip(".")
    for provider, pattern, dialect in _hosts():
        if pattern.fullmatch(host):
            return Endpoint(at, host, path.rstrip("/.:*"), provider, dialect != "own" and "azure" not in host)
    return None


@cache
def _hosts() -> list[tuple[str, re.Pattern[str], str]]:
    hosts = []
    for provider, entry in read_data("endpoints").items():
        for host in entry["hosts"]:
            # A label may be a variable: `https://{region}-aiplatform.googleapis.com`.
            expression = re.escape(host).replace(r"\*", r"[a-z0-9{}$_.*-]+")
            hosts.append((provider, re.compile(expression), entry["dialect"]))
    return hosts
