"""Hard limits of keys across gateway replicas, with the database off the hot path."""

from freehold.serve.gateway.quotas.book import QuotaBook, new_replica_id
from freehold.serve.gateway.quotas.reservation import Reservation

__all__ = ["QuotaBook", "Reservation", "new_replica_id"]
