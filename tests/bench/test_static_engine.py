"""The engine that benchmarks put behind the gateway is one to the gateway."""

from bench.gateway.house import StaticEngine
from freehold.serve.engines.engine import Engine
from freehold.serve.engines.mirrored import view_of


def test_it_has_all_that_the_gateway_asks_an_engine() -> None:
    engine = StaticEngine("http://127.0.0.1:9")
    asked = {name for name in vars(Engine) if not name.startswith("_")}
    assert {name for name in asked if not hasattr(engine, name)} == set()
    assert view_of(engine).name == engine.name
