"""One try at one engine: what it is asked, what came of it, and what it cost."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from freehold.serve.engines.engine import Engine
from freehold.serve.gateway.connection import EngineConnection
from freehold.serve.gateway.exchange import Exchange
from freehold.serve.gateway.job import Job
from freehold.serve.gateway.ledger import EngineTime
from freehold.serve.gateway.meter import AnswerMeter
from freehold.serve.gateway.usage import Usage

if TYPE_CHECKING:
    from freehold.serve.gateway.tracing import AttemptSpan

_BYTES_PER_TOKEN = 4
"""Of English text in a current vocabulary; for estimates only, which are marked as such."""

NOTHING_USED = Usage(0, 0, 0)


@dataclass(slots=True)
class Attempt:
    """Filled as the try proceeds."""

    engine: Engine
    job: Job
    exchange: Exchange
    request_id: str
    meter: AnswerMeter
    time: EngineTime
    began: int = field(init=False)
    connection: EngineConnection | None = None
    is_asked: bool = False
    """The engine has, or may have, the request."""
    is_stopped: bool = False
    """It was aborted, and has told its usage after that."""
    is_final: bool = True
    """No other engine is tried after it."""
    status: int = 0
    """What went wrong, as an HTTP status; 0 if what the client saw says it."""
    span: "AttemptSpan | None" = None

    def __post_init__(self) -> None:
        self.began = self.time.begin()

    def tokens(self) -> tuple[Usage, int]:
        """What the engine counted, or an estimate; and how many of these tokens are estimated."""
        usage = self.meter.usage
        if usage is not None:
            # An engine that was stopped before its first token has not read the prompt to its end, nor counted it.
            if self.is_stopped and not usage.completion:
                return NOTHING_USED, 0
            # Of several prompts some may not have been read: only the engine knows which.
            return usage, usage.prompt or 0 if self.is_stopped and self.job.prompts > 1 else 0
        is_refused = self.connection is not None and self.connection.status >= 400
        is_cut = self.exchange.is_cut_off or self.meter.events_seen
        if not self.is_asked or is_refused or not is_cut or not self.job.endpoint.generates:
            return NOTHING_USED, 0
        estimate = Usage(len(self.job.body) // _BYTES_PER_TOKEN, self.meter.events_seen)
        return estimate, (estimate.prompt or 0) + (estimate.completion or 0)
