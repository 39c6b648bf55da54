"""One try at one engine: what it is asked, what came of it, and what it cost."""

from dataclasses import dataclass, field
from math import ceil
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

_LONGEST_S = 10**6
"""An engine or a file that tells of more than eleven days lies."""

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
        is_refused = self._is_refused
        heard = self.meter.heard
        if heard is not None and self.is_asked and not is_refused:
            estimate = Usage(self.job.weight.tokens or 0, heard.characters // _BYTES_PER_TOKEN)
            return estimate, (estimate.prompt or 0) + (estimate.completion or 0)
        is_cut = self.exchange.is_cut_off or self.meter.events_seen
        if not self.is_asked or is_refused or not is_cut or not self.job.endpoint.generates:
            return NOTHING_USED, 0
        weight = self.job.weight
        text = (len(self.job.body) - weight.encoded_bytes) // _BYTES_PER_TOKEN
        estimate = Usage(text + (weight.tokens or 0), self.meter.events_seen)
        return estimate, (estimate.prompt or 0) + (estimate.completion or 0)

    @property
    def audio_seconds(self) -> int:
        """Of the sound that the engine was asked about, as it says or else the file's header; rounded up."""
        if not self.is_asked or self._is_refused:
            return 0
        heard = self.meter.heard
        told = heard.seconds if heard is not None else None
        return ceil(min(self.job.weight.seconds if told is None else told, _LONGEST_S))

    @property
    def _is_refused(self) -> bool:
        return self.connection is not None and self.connection.status >= 400
