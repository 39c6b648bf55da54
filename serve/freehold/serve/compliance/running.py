"""What a running gateway says that it serves."""

from dataclasses import dataclass

import httpx

from freehold.core.errors import AccessDeniedError, OfflineError, RemoteError
from freehold.serve.loopback import is_loopback

TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Running:
    """One name of the gateway's list of models."""

    name: str
    artifact: str
    """What answers under it; empty for a route, and for what others run."""
    parent: str
    """The model that an adapter is loaded into."""


def ask_gateway(url: str, key: str | None, *, offline: bool) -> dict[str, Running]:
    """Every name that it lists for this key. Raises OfflineError, AccessDeniedError, RemoteError."""
    root = url.rstrip("/").removesuffix("/v1")
    if offline and not is_loopback(root):
        raise OfflineError(f"{root} is not on this machine", why="--offline allows no socket but loopback")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        answer = httpx.get(f"{root}/v1/models", headers=headers, timeout=TIMEOUT_S, trust_env=not is_loopback(root))
        models = answer.json()["data"] if answer.status_code == 200 else []
    except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
        raise RemoteError(
            f"The gateway at {root} does not say what it serves",
            why=str(error) or type(error).__name__,
            next_step="Check --gateway.",
        ) from error
    if answer.status_code in (401, 403):
        raise AccessDeniedError(
            f"The gateway at {root} refuses the key", next_step="Set FREEHOLD_API_KEY to one that may name every model."
        )
    if answer.status_code != 200:
        raise RemoteError(f"The gateway at {root} answers {answer.status_code}", next_step="Check --gateway.")
    return {one["id"]: Running(one["id"], str(one.get("root", "")), str(one.get("parent", ""))) for one in models}
