"""Which URLs may be fetched at all, before any name is looked up.

There is one parser, yarl's: what it makes of the text is what is checked here and what aiohttp is given, so no second
reading of the same text can name another host. Text on which parsers are known to disagree is refused.
"""

import ipaddress
import re

from yarl import URL

from freehold.serve.config import MediaConfig
from freehold.serve.gateway.errors import RequestError

_MAX_URL_LENGTH = 8192
_SHAPE = re.compile(r"https?://[^/?#@]+(?:[/?#]|$)", re.IGNORECASE)
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
# "Ends in a number": https://url.spec.whatwg.org/#ends-in-a-number-checker
_NUMERIC = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")


def refused(param: str, why: str, next_step: str = "") -> RequestError:
    """The URL at `param` must not be fetched."""
    return RequestError(
        f"The URL at {param} is not fetched", why=why, next_step=next_step, code="media_refused", param=param
    )


def unreachable(param: str, why: str, next_step: str = "") -> RequestError:
    """The URL at `param` may be fetched, and that failed."""
    return RequestError(
        f"The URL at {param} could not be fetched", why=why, next_step=next_step, code="media_unreachable", param=param
    )


def is_address(host: str) -> bool:
    """Whether a host is an IP address as ipaddress writes it."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class MediaPolicy:
    """`gateway.media.allowedDomains`, applied to a URL and to every redirect."""

    def __init__(self, config: MediaConfig) -> None:
        listed = [domain.lower().removesuffix(".") for domain in config.allowed_domains]
        self._hosts = frozenset(domain for domain in listed if not domain.startswith("*."))
        self._suffixes = tuple(domain[1:] for domain in listed if domain.startswith("*."))

    def check(self, text: str, param: str) -> URL:
        """The URL to fetch, with its host in lower case, in ASCII and without a final dot. Raises RequestError."""
        _check_text(text, param)
        if not _SHAPE.match(text):
            raise refused(param, *_wrong_shape(text))
        return self._check(_parse(text, param), param)

    def check_redirect(self, url: URL, location: str, param: str) -> URL:
        """The same for the `Location` of an answer to `url`."""
        _check_text(location, param)
        target = url.join(_parse(location, param))
        if target.scheme not in ("http", "https"):
            raise refused(param, "it redirects to something other than an http or https URL")
        return self._check(target, param)

    def _check(self, url: URL, param: str) -> URL:
        if url.raw_user is not None or url.raw_password is not None:
            raise refused(param, "it has a user name or a password in it")
        if url.explicit_port not in (None, 80, 443):
            raise refused(param, f"its port is {url.explicit_port}", "Only 80 and 443 are fetched from.")
        host = (url.raw_host or "").lower().removesuffix(".")
        if not _HOST.fullmatch(host):
            raise refused(param, "its host is not a host name")
        if not self._is_listed(host):
            raise refused(param, f"its host '{host}' is not an allowed one", self._how_to_allow())
        return url.with_host(host)

    def _is_listed(self, host: str) -> bool:
        if _NUMERIC.fullmatch(host):
            return host in self._hosts and is_address(host)
        return host in self._hosts or host.endswith(self._suffixes)

    def _how_to_allow(self) -> str:
        none = "" if self._hosts or self._suffixes else "This gateway fetches from no host at all. "
        return f"{none}Send the file as a data: URL, or have the host added to gateway.media.allowedDomains."


def _check_text(text: str, param: str) -> None:
    if len(text) > _MAX_URL_LENGTH:
        raise refused(param, f"it is longer than {_MAX_URL_LENGTH} characters")
    if " " in text or "\\" in text or not text.isprintable():
        raise refused(param, "it has a blank, a backslash or an invisible character in it")


def _parse(text: str, param: str) -> URL:
    try:
        return URL(text)
    except ValueError as error:
        raise refused(param, "it is not a URL") from error


def _wrong_shape(text: str) -> tuple[str, str]:
    if re.match(r"https?://[^/?#]*@", text, re.IGNORECASE):
        return "it has a user name or a password in it", ""
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]{0,30}:", text)
    found = f"it begins with '{scheme[0]}'" if scheme else "it has no scheme"
    return found, "Only https://host/…, http://host/… and data: URLs are taken."
