"""The HTTP front: one OpenAI-compatible address for every engine, relayed byte for byte."""

from freehold.serve.gateway.app import Gateway, create_gateway
from freehold.serve.gateway.server import GatewayServer, new_event_loop, serve_gateway

__all__ = ["Gateway", "GatewayServer", "create_gateway", "new_event_loop", "serve_gateway"]
