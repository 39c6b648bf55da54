"""An engine in another process, by the lines that tell of it."""

from typing import Any

import pytest
from fixtures.stub_engine import Call, StubEngine

from freehold.serve.config import Upstream
from freehold.serve.engines.engine import Engine, EngineState
from freehold.serve.engines.mirrored import MirroredFleet, describe
from freehold.serve.engines.upstream import UpstreamEngine


async def _never(call: Call) -> None:
    raise AssertionError("nothing is asked here")


def _seen(engine: Engine) -> dict[str, Any]:
    names = [name for name in vars(Engine) if isinstance(vars(Engine)[name], property)]
    assert len(names) >= 12
    return {name: getattr(engine, name) for name in names} | {"speaks": [engine.speaks(False), engine.speaks(True)]}


def _stub() -> StubEngine:
    stub = StubEngine("org/tiny", _never)
    stub.upstream_model, stub.base_url, stub.detail = "tiny", "http://127.0.0.1:1234", "golden probe"
    stub.state, stub.fingerprint, stub.context_tokens = EngineState.PROBING, "fp_1", 2048
    stub.abilities, stub.can_abort, stub.headers = frozenset({"tools", "video"}), True, {"authorization": "Bearer s"}
    return stub


@pytest.mark.parametrize(
    "engine",
    [_stub(), UpstreamEngine("far/gpt", "gpt", Upstream(base_url="https://far.example", api="anthropic"), {"a": "b"})],
    ids=["own", "anthropic"],
)
def test_a_mirrored_engine_is_like_the_real_one(engine: Engine) -> None:
    fleet = MirroredFleet()
    fleet.show(describe({engine.name: engine}))
    assert _seen(fleet.engines[engine.name]) == _seen(engine)
    assert fleet.engines[engine.name].state is engine.state


def test_changes_arrive_in_the_object_that_routes_hold() -> None:
    stub, fleet = _stub(), MirroredFleet()
    fleet.show(describe({stub.name: stub}))
    held = fleet.engines[stub.name]
    stub.state, stub.detail, stub.base_url = EngineState.READY, "", "http://127.0.0.1:4321"
    fleet.show(describe({stub.name: stub}))
    assert fleet.engines[stub.name] is held
    assert (held.state, held.detail, held.base_url) == (EngineState.READY, "", "http://127.0.0.1:4321")


def test_a_description_is_one_line() -> None:
    stub = _stub()
    stub.detail = "two\nlines"
    assert describe({stub.name: stub}).count(b"\n") == 1
