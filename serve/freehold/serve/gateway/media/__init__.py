"""Images, sounds and videos of requests: what they cost is known before an engine sees them, and those named by URL are
fetched by the gateway, so that no engine ever opens a socket to an address that a client chose.
"""

from freehold.serve.gateway.media.inlining import MediaInliner
from freehold.serve.gateway.media.weighing import NO_WEIGHT, Weighing, Weight

__all__ = ["NO_WEIGHT", "MediaInliner", "Weighing", "Weight"]
