"""Accounts for requests: opens the books when one begins, and settles everything that its end touches, exactly once."""

import time
from time import perf_counter

from freehold.core.errors import FreeholdError
from freehold.serve.engines.engine import Engine
from freehold.serve.gateway.attempt import Attempt
from freehold.serve.gateway.calls import EngineCalls
from freehold.serve.gateway.endpoints import Endpoint
from freehold.serve.gateway.exchange import Exchange
from freehold.serve.gateway.job import Job
from freehold.serve.gateway.ledger import EngineTime, UsageEntry
from freehold.serve.gateway.meter import AnswerMeter
from freehold.serve.gateway.metrics import CLIENT_LEFT, GatewayMetrics
from freehold.serve.gateway.services import Services
from freehold.serve.gateway.tape import Tape
from freehold.serve.logs import log_exchange, logs_exchanges
from freehold.serve.recording.raw import RawExchange


class Accounts:
    """Meters, reservations, the ledger, records and spans of every exchange."""

    def __init__(self, services: Services, metrics: GatewayMetrics, calls: EngineCalls) -> None:
        self._services = services
        self._calls = calls
        self._metrics = metrics
        self._times: dict[tuple[str, str], EngineTime] = {}

    def open(self, job: Job, exchange: Exchange) -> None:
        """A request was let in."""
        if exchange.span is not None and job.request is not None:
            exchange.span.asked(job.request.document)
        record, recorder = job.plan.record, self._services.recorder
        if record is not None and recorder is not None and recorder.wants(job.plan.route):
            exchange.tape = Tape()

    def begin(self, engine: Engine, job: Job, exchange: Exchange) -> Attempt:
        """It goes to this engine now."""
        # An adapter works on its model's hardware, in the same batches.
        worker = (engine.name if engine.adapter is None else engine.adapter.model, engine.base_url)
        engine_time = self._times.get(worker)
        if engine_time is None:
            engine_time = self._times[worker] = EngineTime()
        meter = AnswerMeter(
            self._metrics.of(engine.name),
            exchange.started,
            is_background=exchange.delegation is not None,
            hears=job.endpoint.hears,
        )
        attempt = Attempt(engine, job, exchange, job.request_id, meter, engine_time)
        if exchange.span is not None:
            host, port, _ = self._calls.address(engine).origin
            attempt.span = exchange.span.attempt(
                engine.name, engine.upstream_model, (host, port), provider=engine.provider
            )
        return attempt

    def refused(self, endpoint: Endpoint, exchange: Exchange, error: FreeholdError) -> None:
        """A request got no further than the gateway."""
        log_exchange(
            path=endpoint.path,
            status=error.http_status,
            duration_ms=_since_ms(exchange),
            model=exchange.model,
            key_id=exchange.principal.key_id,
        )
        principal = exchange.principal
        if principal.key_id:
            whose = (principal.key_id, principal.team, "", "")
            self._record(exchange, UsageEntry(time.time(), *whose, endpoint.path, error.http_status))
        if exchange.span is not None:
            exchange.span.end(error.http_status, error_type=error.code)

    def left(self, exchange: Exchange) -> None:
        """The client went before its request was whole."""
        log_exchange(path=exchange.endpoint.path, status=CLIENT_LEFT, duration_ms=_since_ms(exchange))
        if exchange.span is not None:
            exchange.span.end(CLIENT_LEFT, error_type="client_left")

    def conclude(self, attempt: Attempt) -> None:
        """The try is over, well or badly: meter, settle, write down. To be called exactly once."""
        job, exchange = attempt.job, attempt.exchange
        engine_us = attempt.time.end(attempt.began)
        seen = CLIENT_LEFT if exchange.client_left else exchange.status or attempt.status
        status = attempt.status or seen
        usage, estimated = attempt.tokens()
        prompt, completion = usage.prompt or 0, usage.completion or 0
        pricing = self._services.pricing
        money = 0 if pricing is None else pricing.charge(attempt.engine.name, prompt, completion, engine_us)
        if attempt.is_final:
            attempt.meter.close(job.endpoint.path, seen)
            if logs_exchanges():
                log_exchange(
                    path=job.endpoint.path,
                    status=seen,
                    duration_ms=_since_ms(exchange),
                    model=attempt.engine.name,
                    route=job.plan.route,
                    key_id=job.principal.key_id,
                    request_id=job.request_id,
                    prompt_tokens=prompt,
                    completion_tokens=completion,
                )
            if job.reservation is not None:
                job.reservation.settle(prompt + completion, money)
            if job.on_end is not None:
                job.on_end(prompt, completion, money)
            if exchange.tape is not None:
                self._keep(attempt, status)
        else:
            attempt.meter.dismiss()
        job.plan.observe(attempt.engine, failed=status >= 500, first_byte_s=attempt.meter.first_byte_s)
        if self._services.ledger is not None or exchange.delegation is not None:
            entry = UsageEntry(
                time.time(),
                job.principal.key_id,
                job.principal.team,
                attempt.engine.name,
                job.plan.route,
                job.endpoint.path,
                status,
                prompt,
                usage.cached or 0,
                completion,
                estimated,
                engine_us,
                money,
                attempt.audio_seconds,
            )
            self._record(exchange, entry)
        if exchange.span is not None:
            self._end_spans(attempt, seen, status, prompt, completion)

    def _record(self, exchange: Exchange, entry: UsageEntry) -> None:
        if exchange.delegation is not None:
            exchange.delegation.record(entry)
        elif self._services.ledger is not None:
            self._services.ledger.record(entry)

    def _keep(self, attempt: Attempt, status: int) -> None:
        """Hand the exchange to the recorder: references only, it parses in a thread of its own."""
        recorder, job, exchange = self._services.recorder, attempt.job, attempt.exchange
        assert recorder is not None and exchange.tape is not None, "a tape is made for a recorder"
        connection = attempt.connection
        answer = connection.fields if connection is not None else {}
        latency_s = perf_counter() - exchange.started
        recorder.offer(
            RawExchange(
                route=job.plan.route,
                model=attempt.engine.name,
                endpoint=job.endpoint.path,
                started_unix_s=time.time() - latency_s,
                status=status,
                latency_s=latency_s,
                request=job.body,
                response=exchange.tape.chunks,
                ttft_s=attempt.meter.first_byte_s or None,
                content_type=answer.get(b"content-type", b""),
                content_encoding=answer.get(b"content-encoding", b""),
                key_id=job.principal.key_id,
                team=job.principal.team,
                truncated=exchange.is_cut_off or status >= 500 or exchange.tape.is_full,
                fingerprint=attempt.engine.fingerprint,
                id=exchange.record_id,
            )
        )

    def _end_spans(self, attempt: Attempt, seen: int, status: int, prompt: int, completion: int) -> None:
        error = "client_left" if seen == CLIENT_LEFT else "engine_lost" if status >= 500 > seen else ""
        if attempt.span is not None:
            attempt.span.end(attempt.connection.status if attempt.connection else 0, error)
        if attempt.is_final and attempt.exchange.span is not None:
            attempt.exchange.span.end(
                seen,
                response_model=attempt.engine.upstream_model,
                prompt_tokens=prompt,
                completion_tokens=completion,
                error_type=error,
            )


def _since_ms(exchange: Exchange) -> float:
    return (perf_counter() - exchange.started) * 1000
