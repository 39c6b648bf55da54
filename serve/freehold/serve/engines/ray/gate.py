"""The gate: where the driver tells how the application stands, and where each replica waits until it is proven.

A replica asks before Serve calls it healthy, so whatever Serve starts, at the beginning, for more requests or after a
node was lost, is proven before it gets its first request.
"""

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import msgspec
from aiohttp import web

LOOPBACK = "127.0.0.1"


class Told(msgspec.Struct, frozen=True):
    """How the application stands, by the driver."""

    url: str
    """Where Serve answers for it."""
    status: str
    """Serve's `ApplicationStatus`, or `GONE`."""
    message: str
    replicas: dict[str, int]
    """How many there are in each of Serve's `ReplicaState`."""
    free: dict[str, float]
    """What the cluster has left."""

    @property
    def running(self) -> int:
        """Replicas that take requests."""
        return self.replicas.get("RUNNING", 0)


class Hello(msgspec.Struct, frozen=True):
    """A replica that wants to begin."""

    url: str
    """Its own vLLM, inside the cluster."""
    version: str
    """vLLM's, for example `0.32.0`."""


class Gate:
    """An HTTP server for the driver and the replicas of one application; both know its token."""

    def __init__(self, address: str, tell: Callable[[Told], None], prove: Callable[[Hello], Awaitable[str]]) -> None:
        """`prove` returns why the replica may not begin; empty if it may."""
        self.token = secrets.token_urlsafe(32)
        self.url = ""
        self._host = own_address(address)
        self._tell = tell
        self._prove = prove
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/status", self._status)
        app.router.add_post("/replica", self._replica)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, 0).start()
        self.url = f"http://{self._host}:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def _check(self, request: web.Request) -> None:
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self.token}".encode()):
            raise web.HTTPUnauthorized

    async def _status(self, request: web.Request) -> web.Response:
        self._check(request)
        self._tell(msgspec.json.decode(await request.read(), type=Told))
        return web.Response()

    async def _replica(self, request: web.Request) -> web.Response:
        self._check(request)
        refusal = await self._prove(msgspec.json.decode(await request.read(), type=Hello))
        return web.Response(text=refusal, status=HTTPStatus.CONFLICT if refusal else HTTPStatus.OK)


def own_address(cluster: str) -> str:
    """The address of this machine that the nodes of a cluster reach: loopback for one that is on this machine alone."""
    host, _, port = cluster.rpartition(":")
    if not host:
        return LOOPBACK
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    if is_loopback:
        return LOOPBACK
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, int(port)))  # sends nothing: the kernel chooses the way
        return str(probe.getsockname()[0])
