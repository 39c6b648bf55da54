"""Which of a model's places gets a request: a policy is a file, and `POLICIES` knows them by name."""

from collections.abc import Callable

from freehold.serve.engines.policies.affinity import PrefixAffinity
from freehold.serve.engines.policies.least import LeastRequests, LeastTokens
from freehold.serve.engines.policies.policy import ANY, Place, Policy, Wish
from freehold.serve.engines.policies.turns import RoundRobin

POLICIES: dict[str, Callable[[], Policy]] = {
    "prefix-affinity": PrefixAffinity,
    "least-tokens": LeastTokens,
    "least-requests": LeastRequests,
    "round-robin": RoundRobin,
}
"""As `gateway.spreading` names them."""

__all__ = ["ANY", "POLICIES", "Place", "Policy", "PrefixAffinity", "Wish"]
