"""Files that requests name by URL: the gateway fetches them and puts them into the request, so that no engine ever
opens a socket to an address that a client chose.
"""

from freehold.serve.gateway.media.inlining import MediaInliner

__all__ = ["MediaInliner"]
