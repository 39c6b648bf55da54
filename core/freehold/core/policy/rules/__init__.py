"""What a policy can ask for: a file per rule, each with its schema and what it finds."""

from freehold.core.policy.rules.evaluations import EvaluationRule
from freehold.core.policy.rules.formats import FormatRule
from freehold.core.policy.rules.gates import GateRule
from freehold.core.policy.rules.licenses import LicenseRule
from freehold.core.policy.rules.publishers import PublisherRule
from freehold.core.policy.rules.rule import Rule
from freehold.core.policy.rules.signatures import SignatureRule

__all__ = ["EvaluationRule", "FormatRule", "GateRule", "LicenseRule", "PublisherRule", "Rule", "SignatureRule"]
