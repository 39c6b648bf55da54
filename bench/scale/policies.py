"""The policies that are compared: those of the gateway, as they are, and others that it does not have."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from itertools import islice

from freehold.serve.engines.policies import POLICIES, Policy, PrefixAffinity, Wish
from freehold.serve.engines.policies.least import LeastRequests
from freehold.serve.engines.policies.policy import P

WINNER = "prefix affinity"
SYSTEM_PROMPT_ONLY, SESSION_ONLY = 0, 1 << 20
"""Rooms with which a system prompt has one place, and each session one of its own."""


def affinity(
    *, room: int | None = None, adapter_room: int | None = None, most: float | None = None, slack: float | None = None
) -> Callable[[], Policy]:
    """The gateway's own policy, with other numbers."""

    class Tuned(PrefixAffinity):
        prompt_room = PrefixAffinity.prompt_room if room is None else room
        adapter_room = PrefixAffinity.adapter_room if adapter_room_ is None else adapter_room_
        bound = PrefixAffinity.bound if most is None else most
        slack = PrefixAffinity.slack if slack_ is None else slack_

    return Tuned
