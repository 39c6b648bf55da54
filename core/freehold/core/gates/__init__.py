"""Gates between the steps: a verdict on an artifact that a later step requires."""

from freehold.core.gates.evaluations import record_evaluation, require_evaluations, with_evaluation
from freehold.core.gates.required import gates_of
from freehold.core.gates.verdict import GateName, Verdict
from freehold.core.gates.verdicts import read_verdict, record_verdict, require_verdict

__all__ = [
    "GateName",
    "Verdict",
    "gates_of",
    "read_verdict",
    "record_evaluation",
    "record_verdict",
    "require_evaluations",
    "require_verdict",
    "with_evaluation",
]
