"""Policies: what an organisation allows to be pulled, promoted and served."""

from freehold.core.policy.facts import Facts, Link
from freehold.core.policy.gathering import facts_before_pull, facts_of, facts_of_lineage
from freehold.core.policy.loading import PolicyFile, find_policies, parse_policy, read_policy
from freehold.core.policy.policies import NO_POLICY, Finding, Policies, policies_here, refuse
from freehold.core.policy.policy import Policy
from freehold.core.policy.stage import Stage

__all__ = [
    "NO_POLICY",
    "Facts",
    "Finding",
    "Link",
    "Policies",
    "Policy",
    "PolicyFile",
    "Stage",
    "facts_before_pull",
    "facts_of",
    "facts_of_lineage",
    "find_policies",
    "parse_policy",
    "policies_here",
    "read_policy",
    "refuse",
]
