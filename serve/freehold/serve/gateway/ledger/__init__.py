"""What every exchange used: spooled on the hot path, added up in the database behind it, priced in the currency."""

from freehold.serve.gateway.ledger.engine_time import EngineTime
from freehold.serve.gateway.ledger.entry import UsageEntry
from freehold.serve.gateway.ledger.ledger import Ledger
from freehold.serve.gateway.ledger.pricing import Pricing

__all__ = ["EngineTime", "Ledger", "Pricing", "UsageEntry"]
