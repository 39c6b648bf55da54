"""Lets requests in: whose it is, what it asks, who may answer, and whether the key's limits allow it."""

import itertools
import secrets
from typing import TYPE_CHECKING

from freehold.serve.engines.engine import Engine, EngineState
from freehold.serve.engines.service import ServiceEngine
from freehold.serve.gateway import headers
from freehold.serve.gateway.admission import Admission
from freehold.serve.gateway.body import read_body
from freehold.serve.gateway.errors import NotAllowed, Unavailable
from freehold.serve.gateway.exchange import Exchange
from freehold.serve.gateway.job import Job
from freehold.serve.gateway.media import NO_WEIGHT, Weight
from freehold.serve.gateway.owners import ResponseOwners
from freehold.serve.gateway.parameters import check_parameters
from freehold.serve.gateway.principal import Principal
from freehold.serve.gateway.request import RelayedRequest, parse_request
from freehold.serve.gateway.routing import Plan, RouteTable
from freehold.serve.gateway.services import Services
from freehold.serve.gateway.tokenizing import Tokenizing

if TYPE_CHECKING:
    from freehold.serve.gateway.media import MediaInliner


OF_THE_KEY = ("model_not_allowed", "must_stay")
"""Refusals that a change of the key could lift."""


class Reception:
    """Everything that can refuse a request before an engine sees it."""

    def __init__(
        self,
        table: RouteTable,
        owners: ResponseOwners,
        services: Services,
        tokenizing: Tokenizing,
        max_body_bytes: int,
    ) -> None:
        self._table = table
        self._owners = owners
        self._admission = Admission(services, tokenizing)
        self._media = services.media
        self._weighing = services.weighing
        self._max_body_bytes = max_body_bytes
        self._ids = itertools.count()
        self._id_prefix = secrets.token_hex(6)

    async def identify(self, client: list[tuple[bytes, bytes]]) -> Principal:
        """Whose request has these headers. Raises Unauthorized."""
        return await self._admission.identify(client)

    async def let_in(self, exchange: Exchange, response_id: str) -> Job:
        """The cheapest reasons against it come first. Raises FreeholdError, ClientLeft."""
        endpoint, scope = exchange.endpoint, exchange.scope
        if exchange.delegation is not None:
            principal = exchange.delegation.principal
        else:
            principal = self._admission.known(scope["headers"]) or await self._admission.identify(scope["headers"])
        exchange.principal = principal
        body = exchange.client.take_whole(self._max_body_bytes)
        if body is None:
            declared = headers.find(scope["headers"], b"content-length")
            body = await read_body(exchange.client.receive, declared, self._max_body_bytes)
        request_id = f"{self._id_prefix}{next(self._ids):08x}"
        if response_id:
            owner = await self._owners.owner(response_id, principal)
            return Job(endpoint, principal, Plan((owner,)), body, None, request_id)
        request = parse_request(endpoint, scope, body)
        caller = (scope.get("client") or ("",))[0]
        try:
            plan = self._table.plan(request, principal, caller)
        except NotAllowed as refusal:
            if exchange.delegation is not None or refusal.code not in OF_THE_KEY:
                raise
            exchange.principal = principal = await self._admission.identify_anew(scope["headers"])
            plan = self._table.plan(request, principal, caller)
        first = plan.engines[0]
        exchange.model = first.name
        if len(plan.engines) == 1:
            check_ready(first)
        hints: tuple[str, ...] = ()
        if first.abilities is not None:
            hints = check_parameters(endpoint.path, request.document, first.abilities)
        job = Job(endpoint, principal, plan, body, request, request_id, hints)
        job.weight = self._weigh(request, first)
        media = self._media if request.document else None
        names_media = media is not None and media.is_concerned(body)
        if self._admission.limits(principal):
            job.reservation = await self._admission.reserve(
                principal, request, first, weight=job.weight, council=plan.council
            )
        if media is not None and names_media:
            await _inline(media, job, request)
            self._check_inlined(job, first)
        return job

    def _weigh(self, request: RelayedRequest, engine: Engine) -> Weight:
        """What its files cost. Raises RequestError for those that the engine would not take."""
        if self._weighing is not None and request.form is not None:
            return self._weighing.weigh_file(request.body[slice(*request.form.file)], engine)
        weight = NO_WEIGHT
        if self._weighing is not None:
            weight = self._weighing.weigh(request.body, request.document, engine)
        if self._media is not None and not weight.urls and self._media.is_concerned(request.body):
            return weight._replace(tokens=None)  # what is neither image, sound nor video: a PDF
        return weight

    def _check_inlined(self, job: Job, engine: Engine) -> None:
        """What was fetched is held to the same limits."""
        assert job.request is not None, "it names files"
        if self._weighing is None:
            return
        try:
            job.weight = self._weighing.weigh(job.body, job.request.document, engine)
        except BaseException:
            if job.reservation is not None:
                job.reservation.cancel()
            raise


async def _inline(media: "MediaInliner", job: Job, request: RelayedRequest) -> None:
    """Put the files that a request names by URL into it. Raises FreeholdError."""
    try:
        job.body = await media.inline(job.body)
    except BaseException:
        if job.reservation is not None:
            job.reservation.cancel()
        raise
    job.request = parse_request(request.endpoint, {"headers": []}, job.body)


def check_ready(engine: Engine) -> None:
    """Raises Unavailable if the engine takes no requests now, not even to hold them."""
    if engine.state is not EngineState.READY and not (isinstance(engine, ServiceEngine) and engine.is_held):
        raise Unavailable(
            f"The model '{engine.name}' is not ready",
            why=f"{engine.state}, {engine.detail}" if engine.detail else f"{engine.state}",
        )
