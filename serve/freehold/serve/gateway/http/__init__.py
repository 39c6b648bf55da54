"""The gateway's HTTP/1.1 server: ASGI for the application, deadlines and size limits for everybody else."""

from freehold.serve.gateway.http.limits import HttpLimits
from freehold.serve.gateway.http.server import HttpServer

__all__ = ["HttpLimits", "HttpServer"]
