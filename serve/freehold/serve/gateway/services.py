"""What stands beside the relay, each of it only where the deployment asks for it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import APIRouter

    from freehold.serve.batches.runner import BatchRunner
    from freehold.serve.gateway.keyring import KeyRing
    from freehold.serve.gateway.ledger import Ledger, Pricing
    from freehold.serve.gateway.media import MediaInliner, Weighing
    from freehold.serve.gateway.quotas import QuotaBook
    from freehold.serve.gateway.tracing import GatewayTracer
    from freehold.serve.recording.recorder import Recorder
    from freehold.serve.watching.watch import Watch
    from freehold.serve.workers.siblings import Siblings


@dataclass(frozen=True, slots=True)
class Services:
    """None is "not here": the relay then does nothing for it."""

    keyring: "KeyRing | None" = None
    """Who may come in; None lets everybody in."""
    quotas: "QuotaBook | None" = None
    ledger: "Ledger | None" = None
    pricing: "Pricing | None" = None
    media: "MediaInliner | None" = None
    weighing: "Weighing | None" = None
    """What files in requests cost; None counts them as the whole context."""
    recorder: "Recorder | None" = None
    tracer: "GatewayTracer | None" = None
    admin: "APIRouter | None" = None
    """Everything under `/admin/v1`."""
    pages: "tuple[APIRouter, ...]" = ()
    """Further pages: files, fine-tuning jobs, batches."""
    batches: "BatchRunner | None" = None
    """Works on batches by this process's relay."""
    watch: "Watch | None" = None
    """Reads the gateway's metrics while somebody looks."""
    siblings: "Siblings | None" = None
    """The other processes of this gateway."""
    stands_alone: bool = False
    """Its models are started and put to sleep by others: the gateway is ready without any of them."""


NOTHING = Services()
