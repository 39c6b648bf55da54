"""Which addresses are on the public internet, and the resolver that lets no other through to a socket."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp.abc import AbstractResolver, ResolveResult

Resolve = Callable[[str, int], Awaitable[Sequence[tuple[str, int]]]]
"""From a host and a port to all addresses and ports that it stands for. Raises OSError."""

IsAllowed = Callable[[str], bool]

# Python 3.11 calls these global; IANA does not, or has withdrawn them.
_NOT_PUBLIC = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"), IPv6Network("3fff::/20"))
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")


class AddressRefused(Exception):
    """A host stands for an address that is not public; the address is for the log, not for the client."""

    def __init__(self, host: str, address: str) -> None:
        super().__init__(f"{host} is {address}")


def is_public(address: str) -> bool:
    """Whether an address is a public one, and so is the IPv4 address inside it if it has one."""
    found = ip_address(address)
    inner = _embedded(found) if isinstance(found, IPv6Address) else None
    if inner is not None:
        return is_public(str(inner))
    if isinstance(found, IPv6Address) and found not in _GLOBAL_UNICAST:
        return False
    excluded = any(found in network for network in _NOT_PUBLIC if network.version == found.version)
    return found.is_global and not (found.is_multicast or found.is_reserved or excluded)


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that packets to a mapped, 6to4, NAT64 or Teredo address end up at."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)


async def resolve_host(host: str, port: int) -> list[tuple[str, int]]:
    """Every address of a host, as the system resolves it."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(str(sockaddr[0]), int(sockaddr[1])) for *_, sockaddr in found]


class CheckedResolver(AbstractResolver):
    """Looks a host up once, for one connection, and refuses it as soon as one of its addresses is not allowed.

    aiohttp connects to what this returns: between check and use there is no second look-up that could answer otherwise.
    """

    def __init__(self, resolve: Resolve, is_allowed: IsAllowed) -> None:
        self._resolve = resolve
        self._is_allowed = is_allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolve(host, port)
        for address, _ in found:
            self.check(host, address)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address, port in found
        ]

    def check(self, host: str, address: str) -> None:
        """Raises AddressRefused."""
        if not self._is_allowed(address):
            raise AddressRefused(host, address)

    async def close(self) -> None:
        """Nothing is held."""
