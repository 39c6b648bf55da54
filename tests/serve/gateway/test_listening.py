"""A port for several processes, and for nobody else."""

import socket

import pytest

from freehold.core.errors import EnvironmentProblem
from freehold.serve.gateway.listening import listen_on, reserve_port, url_of


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_reserved_port_is_for_those_who_share_it(host: str) -> None:
    with reserve_port(host, 0) as reserved:
        port = reserved.getsockname()[1]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, port))
        with listen_on(host, port, reuse_port=True), listen_on(host, port, reuse_port=True):
            for _ in range(10):
                socket.create_connection((host, port)).close()
            with pytest.raises(EnvironmentProblem, match=f"Port {port} on {host} is taken"):
                listen_on(host, port)


def test_a_reserved_port_is_not_to_be_had_by_others() -> None:
    with reserve_port("127.0.0.1", 0) as reserved, socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(reserved.getsockname())


def test_a_second_gateway_does_not_share_the_port_of_the_first() -> None:
    with listen_on("127.0.0.1", 0, reuse_port=True) as first:
        port = first.getsockname()[1]
        with pytest.raises(EnvironmentProblem, match=f"Port {port} on 127.0.0.1 is taken"):
            reserve_port("127.0.0.1", port)


def test_a_port_can_be_reserved_again() -> None:
    with reserve_port("127.0.0.1", 0) as reserved:
        port = reserved.getsockname()[1]
    with reserve_port("127.0.0.1", port) as reserved:
        assert reserved.getsockname()[1] == port


def test_an_address_of_another_machine_cannot_be_reserved() -> None:
    with pytest.raises(EnvironmentProblem, match=r"Cannot listen on 192\.0\.2\.1"):
        reserve_port("192.0.2.1", 0)


def test_the_url_of_an_ipv6_address_has_brackets() -> None:
    assert (url_of("127.0.0.1", 80), url_of("::1", 80)) == ("http://127.0.0.1:80", "http://[::1]:80")
