"""Is the gateway's port free?"""

import socket

from freehold.core.doctor.check import Finding, Status

GATEWAY_PORT = 8000


def check_port(port: int = GATEWAY_PORT) -> Finding:
    """Bind it for a moment, the way a server would."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            remedy = (
                f"See who has it with `ss -ltnp 'sport = :{port}'`, or serve on another: `freehold serve --port N`."
            )
            return Finding(Status.WARN, f"port {port} cannot be used: {error.strerror}", remedy)
    return Finding(Status.OK, f"port {port} is free")
