"""Whether an address is this machine, which `--offline` allows."""

import ipaddress
from urllib.parse import urlsplit


def is_loopback(url: str) -> bool:
    """By its host alone; no name is looked up."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
