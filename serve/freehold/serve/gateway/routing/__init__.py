"""From the name that a client sends to the engines that may answer, in order.

`table` plans, `split` chooses among weighted targets, `canary` judges a newcomer, `shadow` sends copies.
"""

from freehold.serve.gateway.routing.plan import Plan
from freehold.serve.gateway.routing.table import RouteTable, unknown_model

__all__ = ["Plan", "RouteTable", "unknown_model"]
