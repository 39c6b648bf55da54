"""What is known of one replica: the status of another version's attendant, and whose time is whose."""

import json
from types import SimpleNamespace
from typing import Any, cast

import msgspec

from freehold.serve.engines.engine import EngineState
from freehold.serve.engines.mirrored import EngineView
from freehold.serve.engines.replica import Replica, ReplicaStatus
from freehold.serve.gateway.accounts import Accounts
from freehold.serve.gateway.metrics import GatewayMetrics
from freehold.serve.gateway.services import NOTHING

ENGINE: dict[str, Any] = {
    "name": "tiny",
    "upstream_model": "tiny",
    "base_url": "http://127.0.0.1:8000",
    "state": "ready",
    "detail": "",
    "headers": {},
    "fingerprint": "fh-1",
    "leaves": False,
    "context_tokens": 2048,
    "can_abort": True,
    "abilities": ["reasoning"],
    "adapter": None,
    "provider": "vllm",
    "speaks_openai": True,
    "speaks_anthropic": True,
}
STATUS = {"model": "tiny", "state": "ready", "detail": "", "fingerprint": "fh-1", "engine": ENGINE}
ADAPTER = {
    **ENGINE,
    "name": "support",
    "upstream_model": "support@0123",
    "adapter": {"model": "tiny", "wanted": "support", "phase": "ready", "serving": "support-1", "is_configured": True},
}
"""Written down from the first version that had attendants. Do not change it: pods of that version say it."""


def _replica(url: str) -> Replica:
    replica = Replica(url)
    text = json.dumps({**STATUS, "adapters": [ADAPTER], "of_a_later_version": 1})
    replica.show(msgspec.json.decode(text, type=ReplicaStatus))
    return replica


def test_the_first_versions_status_is_read_by_this_one() -> None:
    replica = _replica("http://10.0.0.1:8000")
    engine = replica.ready("tiny")
    assert engine is not None and engine.base_url == "http://10.0.0.1:8000", "not as the attendant reaches it"
    assert engine.abilities == frozenset({"reasoning"}) and engine.can_abort
    adapter = replica.ready("support")
    assert adapter is not None and adapter.upstream_model == "support@0123" and adapter.adapter is not None


def test_what_is_under_way_holds_on_to_a_replica_that_changes() -> None:
    replica = _replica("http://10.0.0.1:8000")
    held = replica.ready("tiny")
    changed = msgspec.convert({**ENGINE, "state": "failed", "detail": "no"}, EngineView)
    replica.show(ReplicaStatus("tiny", EngineState.FAILED, "no", "", changed, []))
    assert held is not None and held is replica.engines["tiny"] and held.state is EngineState.FAILED
    assert replica.ready("tiny") is None and replica.ready("support") is None


def test_one_that_is_gone_is_not_ready() -> None:
    replica = _replica("http://10.0.0.1:8000")
    replica.hide("its pod is gone")
    assert replica.ready("tiny") is None


def test_each_replica_works_on_time_of_its_own_and_its_adapters_on_the_same() -> None:
    accounts = Accounts(NOTHING, GatewayMetrics({}), cast(Any, None))
    exchange = cast(Any, SimpleNamespace(started=0.0, span=None, delegation=None))
    job = cast(Any, SimpleNamespace(request_id="r", endpoint=SimpleNamespace(hears=False)))
    one, two = _replica("http://10.0.0.1:8000"), _replica("http://10.0.0.2:8000")
    times = [
        accounts.begin(replica.engines[name], job, exchange).time
        for replica, name in ((one, "tiny"), (one, "support"), (two, "tiny"))
    ]
    assert times[0] is times[1] and times[0] is not times[2]
