"""A request that was let in: whose it is, who may answer, and what was reserved for it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from freehold.serve.gateway.endpoints import Endpoint
from freehold.serve.gateway.media import NO_WEIGHT, Weight
from freehold.serve.gateway.principal import Principal
from freehold.serve.gateway.request import RelayedRequest
from freehold.serve.gateway.routing import Plan

if TYPE_CHECKING:
    from freehold.serve.gateway.quotas import Reservation


@dataclass(slots=True)
class Job:
    """Everything that is known before an engine is asked; complete when `Reception` hands it out."""

    endpoint: Endpoint
    principal: Principal
    plan: Plan
    body: bytes
    request: RelayedRequest | None
    """None where the body names no model, but the path a stored response."""
    request_id: str
    hints: tuple[str, ...] = ()
    """Parameters that the engine will not honour, and that do not change the answer."""
    reservation: "Reservation | None" = None
    weight: Weight = NO_WEIGHT
    """Of the files in the request."""
    on_end: Callable[[int, int, int], None] | None = None
    """Called once with its prompt's tokens, its answer's, and their price in millionths of the currency."""

    @property
    def prompts(self) -> int:
        """How many prompts the request has: `/v1/completions` takes several. A list of numbers is one, of tokens."""
        prompt = self.request.document.get("prompt") if self.request else None
        return len(prompt) if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int) else 1
