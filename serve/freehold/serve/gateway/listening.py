"""The gateway's TCP port: taken by one process, or reserved for several."""

import errno
import socket
import sys

from freehold.core.errors import EnvironmentProblem

BACKLOG = 2048
DEAD_PEER_S = 60
"""A client that vanished without a word is noticed this long after something was sent to it. So is one that takes not
a byte of what waits for it, which to the kernel is much the same."""


def url_of(host: str, port: int) -> str:
    """Root of the API there, without `/v1`."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def listen_on(host: str, port: int, *, reuse_port: bool = False) -> socket.socket:
    """A listening socket; with `reuse_port` other processes of this user may listen there too.

    Raises EnvironmentProblem if the port is not to be had.
    """
    try:
        bound = socket.create_server((host, port), family=_family(host), backlog=BACKLOG, reuse_port=reuse_port)
    except OSError as error:
        raise _problem(host, port, error) from error
    _watch_peers(bound)
    return bound


def reserve_port(host: str, port: int) -> socket.socket:
    """Hold a port, 0 for a free one, on which processes of this user are going to listen with `reuse_port`.

    It takes no connection itself. Raises EnvironmentProblem if the port is not to be had.
    """
    if port:
        listen_on(host, port).close()  # another gateway with workers would share its port with us, and its clients
    reserved = socket.socket(_family(host), socket.SOCK_STREAM)
    try:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if reserved.family == socket.AF_INET6:
            reserved.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # as `create_server` has it
        reserved.bind((host, port))
    except OSError as error:
        reserved.close()
        raise _problem(host, port, error) from error
    return reserved


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _problem(host: str, port: int, error: OSError) -> EnvironmentProblem:
    if isinstance(error, PermissionError):
        return EnvironmentProblem(
            f"Port {port} is not allowed to this user", next_step="Take a port above 1023 (gateway.port)."
        )
    if error.errno == errno.EADDRINUSE:
        return EnvironmentProblem(
            f"Port {port} on {host} is taken",
            why="another program listens there",
            next_step="Stop it, or take another port (gateway.port; 0 takes a free one).",
        )
    return EnvironmentProblem(f"Cannot listen on {host}:{port}", why=str(error), next_step="Check gateway.host.")


def _watch_peers(listener: socket.socket) -> None:
    """Notice clients that vanish; accepted sockets have the options of their listener."""
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":  # elsewhere the names differ, or the options are missing
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 6)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_S * 1000)
