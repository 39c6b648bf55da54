"""Answers requests for routes that contemplate, and accounts for each as a whole; its parts are the relay's."""

import asyncio
import time
from time import perf_counter

from freehold.core.errors import FreeholdError
from freehold.serve.gateway.contemplation.bill import Bill
from freehold.serve.gateway.contemplation.counts import Counts
from freehold.serve.gateway.contemplation.part import Part, Serve
from freehold.serve.gateway.contemplation.sitting import Sitting
from freehold.serve.gateway.contemplation.wish import read_wish
from freehold.serve.gateway.exchange import Exchange
from freehold.serve.gateway.job import Job
from freehold.serve.gateway.metrics import CLIENT_LEFT
from freehold.serve.gateway.services import Services
from freehold.serve.logs import log_exchange
from freehold.serve.recording.raw import RawExchange


class Contemplation:
    """`serve` is the relay's way to let one engine answer."""

    def __init__(self, serve: Serve, services: Services) -> None:
        self.counts = Counts()
        self._tasks: set[asyncio.Task[None]] = set()
        self._serve = serve
        self._recorder = services.recorder

    async def answer(self, job: Job, exchange: Exchange) -> None:
        """Answer the request, whole or as a stream."""
        council, request = job.plan.council, job.request
        assert council is not None and request is not None, "the plan has a council"
        wish = read_wish(job.endpoint, request.document, job.plan.route)
        sitting = Sitting(council, wish, job, exchange, self._start)
        try:
            await sitting.hold()
        except FreeholdError as error:
            sitting.outcome = "failed"
            exchange.fail(error)
        finally:
            sitting.close()
            self._conclude(sitting, job, exchange)

    def _start(self, part: Part, bill: Bill) -> "asyncio.Task[None]":
        """Let a part run, also beyond the end of the whole."""
        task = part.start(self._serve, bill)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _conclude(self, sitting: Sitting, job: Job, exchange: Exchange) -> None:
        """The whole is over for its client; parts that are being stopped account for themselves."""
        status = exchange.status
        if exchange.client_left:
            sitting.outcome, status = "client_left", CLIENT_LEFT
        elif exchange.abort_error is not None:
            sitting.outcome, status = "aborted", status or exchange.abort_error.http_status
        self.counts.count(job.plan.route, sitting.outcome)
        latency_s = perf_counter() - exchange.started
        log_exchange(
            path=job.endpoint.path,
            status=status,
            duration_ms=latency_s * 1000,
            route=job.plan.route,
            key_id=job.principal.key_id,
            request_id=job.request_id,
        )
        if exchange.span is not None:
            error = "" if sitting.outcome in ("merged", "unmerged", "majority") else sitting.outcome
            prompt, completion = sitting.used
            exchange.span.end(
                status,
                response_model=job.plan.route,
                prompt_tokens=prompt,
                completion_tokens=completion,
                error_type=error,
                attempts=sitting.parts,
            )
        if exchange.tape is not None and self._recorder is not None:
            is_stream = job.request is not None and job.request.is_stream
            self._recorder.offer(
                RawExchange(
                    route=job.plan.route,
                    model=job.plan.route,
                    endpoint=job.endpoint.path,
                    started_unix_s=time.time() - latency_s,
                    status=status,
                    latency_s=latency_s,
                    request=job.body,
                    response=exchange.tape.chunks,
                    content_type=b"text/event-stream" if is_stream else b"application/json",
                    key_id=job.principal.key_id,
                    team=job.principal.team,
                    truncated=exchange.is_cut_off or status >= 500 or exchange.tape.is_full,
                    id=exchange.record_id,
                )
            )
