"""What can go wrong at a hub, each in words of its own with the next step."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx2
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from freehold.core.errors import AccessDeniedError, FreeholdError, NotFoundError, OfflineError, RemoteError, UserError

AGAIN = "Run the same command again: it goes on where it stopped."


@dataclass(frozen=True)
class HubAddress:
    """What was asked of whom."""

    endpoint: str
    repo: str
    revision: str
    has_token: bool


@contextmanager
def explained(address: HubAddress) -> Iterator[None]:
    """Turn what huggingface_hub and its HTTP client raise into our tree."""
    try:
        yield
    except HFValidationError as error:
        raise UserError(
            f"{address.repo!r} is not a repository id",
            why=str(error),
            next_step="Write it as owner/name, for example Qwen/Qwen3-8B.",
        ) from error
    except OfflineModeIsEnabled as error:
        raise OfflineError(
            f"{address.endpoint} may not be asked", why="HF_HUB_OFFLINE is set", next_step="Unset it and try again."
        ) from error
    except HfHubHTTPError as error:
        raise _from_answer(address, error) from error
    except (httpx2.TransportError, httpx2.TooManyRedirects, httpx2.InvalidURL) as error:
        raise _unreachable(address, error) from error
    except json.JSONDecodeError as error:
        raise RemoteError(
            f"{address.endpoint} does not answer like a hub",
            why=f"no JSON where it was expected: {error}",
            next_step="Check HF_ENDPOINT, and whether a proxy shows a login page.",
        ) from error


def _from_answer(address: HubAddress, error: HfHubHTTPError) -> FreeholdError:
    endpoint, repo, status = address.endpoint, address.repo, error.response.status_code
    # Gated before unknown: huggingface_hub makes the first a kind of the second.
    if isinstance(error, GatedRepoError):
        return AccessDeniedError(
            f"{repo} is gated",
            why="its owner grants access one by one, and "
            + ("this token has not been granted it" if address.has_token else "no token was sent"),
            next_step=f"Request access at {endpoint}/{repo} and set HF_TOKEN to a token of that account. " + AGAIN,
        )
    if isinstance(error, RevisionNotFoundError):
        return NotFoundError(
            f"{repo} has no revision {address.revision!r}",
            why="no branch, tag or commit of that name",
            next_step=f"See {endpoint}/{repo}/tree/main for what there is, or leave the revision out.",
        )
    if isinstance(error, EntryNotFoundError):
        return NotFoundError(
            f"A file of {repo}@{address.revision} is gone",
            why=str(error.response.url),
            next_step="Pull the model again without --locked to see its present files.",
        )
    if isinstance(error, RepositoryNotFoundError):
        return NotFoundError(
            f"{endpoint} has no model {repo}",
            why="it does not exist, or it is private and "
            + ("this token may not see it" if address.has_token else "no token was sent"),
            next_step="Check the name. For a private repository set HF_TOKEN to a token that may read it.",
        )
    if status in (401, 403):
        return AccessDeniedError(
            f"{endpoint} refuses access to {repo}",
            why=f"HTTP {status}, " + ("the token is not accepted" if address.has_token else "no token was sent"),
            next_step="Set HF_TOKEN to a token that may read this repository.",
        )
    return RemoteError(
        f"{endpoint} failed on {repo}",
        why=f"HTTP {status} from {error.response.url}",
        next_step=AGAIN if status in (408, 429) or status >= 500 else "Check HF_ENDPOINT.",
    )


def _unreachable(address: HubAddress, error: Exception) -> FreeholdError:
    reason = str(error) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        step = "If a proxy re-signs traffic here, set SSL_CERT_FILE to its CA certificate."
    else:
        step = "Check the network, HTTPS_PROXY and HF_ENDPOINT; a closed network can use a `freehold mirror`. " + AGAIN
    return OfflineError(f"Cannot reach {address.endpoint}", why=reason, next_step=step)
