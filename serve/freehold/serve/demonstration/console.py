"""Where the gateway's console is, if this gateway has one."""

import os
import secrets

import httpx

PATH = "/console"
ADMIN_KEY = "FREEHOLD_DEMO_ADMIN_KEY"
"""Variable with the key of the demo's administrator; one is drawn where it is not set."""


def admin_key() -> str:
    """The key that signs in to the console: that of the variable, or one for the life of this process."""
    return os.environ.setdefault(ADMIN_KEY, f"demo-{secrets.token_urlsafe(12)}")


async def console_of(url: str) -> str:
    """Its address; empty for a gateway that has none."""
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        answer = await client.get(f"{url}{PATH}", headers={"accept": "text/html"})
    return "" if answer.status_code >= 400 else f"{url}{PATH}"
