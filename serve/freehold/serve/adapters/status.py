"""How an adapter stands, as administrators, metrics and other processes are told."""

from enum import StrEnum

import msgspec


class AdapterPhase(StrEnum):
    """Life of what is wanted under an adapter's name."""

    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"
    UNLOADING = "unloading"


class AdapterStatus(msgspec.Struct, frozen=True):
    """One adapter on one engine."""

    model: str
    """The model whose engine it is loaded into."""
    wanted: str
    """Artifact that should answer under its name, as it was named."""
    phase: AdapterPhase
    """How far `wanted` is."""
    detail: str = ""
    """Why it failed, or what is waited for."""
    serving: str = ""
    """Id of the artifact that answers now: while another one is loaded, or has failed, the one before it."""
    is_configured: bool = False
    """Named in the config, so that only a change of the config unloads it."""
