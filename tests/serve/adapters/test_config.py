"""Adapters in the config: what is accepted, what is refused, and how the engine is started then."""

from pathlib import Path
from typing import Any

import pytest
from fixtures.adapters import add_adapter, add_base

from freehold.core.errors import ConfigError
from freehold.core.settings import load_settings
from freehold.core.store import Artifact, Store
from freehold.serve.config import DeploymentConfig, ProcessEngine, parse_config
from freehold.serve.engines.fleet import build_fleet
from freehold.serve.engines.vllm import launch
from freehold.serve.gateway.ledger import Pricing

NAMED = {"ft:alpha:acme:support:job-1": {"artifact": "support"}}


def _deployment(**more: Any) -> dict[str, Any]:
    return {"models": {"alpha": {"artifact": "alpha", "adapters": NAMED}, "beta": {"artifact": "beta"}}, **more}


def test_adapters_are_named_under_their_model_and_routes_may_lead_to_them() -> None:
    routes = {"help": {"targets": {"ft:alpha:acme:support:job-1": 9, "alpha": 1}}}
    config = parse_config(_deployment(routes=routes), "a test")
    assert config.adapters == {"ft:alpha:acme:support:job-1": "alpha"}
    assert config.models["beta"].adapters is None


@pytest.mark.parametrize(
    ("models", "problem"),
    [
        (
            {"alpha": {"artifact": "a", "adapters": {"beta": {"artifact": "x"}}}, "beta": {"artifact": "b"}},
            "models.alpha.adapters.beta: a model has this name; take another",
        ),
        (
            {
                "alpha": {"artifact": "a", "adapters": {"one": {"artifact": "x"}}},
                "beta": {"artifact": "b", "adapters": {"one": {"artifact": "x"}}},
            },
            "models.beta.adapters.one: an adapter of alpha has this name; take another",
        ),
        (
            {"alpha": {"engine": {"kind": "remote", "baseUrl": "http://x"}, "adapters": {}}},
            "models.alpha.adapters: a remote engine loads its own; name each of them as a model",
        ),
        (
            {"alpha": {"artifact": "a", "adapters": {}, "engine": {"maxLoras": 8, "maxCpuLoras": 4}}},
            "models.alpha.engine.maxCpuLoras: at least maxLoras, which is 8",
        ),
        (
            {"alpha": {"artifact": "a", "adapters": {"one": {"artifact": "x", "accept": ["quality"]}}}},
            "models.alpha.adapters.one.accept.0: input should be 'parity' (given 'quality')",
        ),
    ],
)
def test_what_cannot_be_is_a_problem_with_its_path(models: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config({"models": models}, "a test")
    assert caught.value.problems == [problem]


def test_every_adapter_that_may_not_be_served_is_listed_with_its_reason(tmp_path: Path) -> None:
    settings = load_settings()
    store = Store(settings.store_root)
    base, other = add_base(store), add_base(store, "beta")
    wanted: dict[str, Artifact | str] = {
        "unjudged": add_adapter(store, base, "unjudged", verdict=None, seed=1),
        "refused": add_adapter(store, base, "refused", verdict=False, seed=2),
        "stranger": add_adapter(store, other, "stranger", seed=3),
        "dora": add_adapter(store, base, "dora", use_dora=True, seed=4),
        "big": add_adapter(store, base, "big", r=600, seed=5),
        "absent": "nowhere",
        "good": add_adapter(store, base, "good", seed=6),
    }
    adapters = {name: {"artifact": one if isinstance(one, str) else one.id} for name, one in wanted.items()}
    config = parse_config({"models": {"alpha": {"artifact": base.id, "adapters": adapters}}}, "a test")
    with pytest.raises(ConfigError) as caught:
        build_fleet(config, settings, store)
    told = {problem.split(":")[0].removeprefix("models.alpha.adapters."): problem for problem in caught.value.problems}
    reasons = {
        "unjudged": "it was never judged",
        "refused": "the adapter changes nothing",
        "stranger": "it was trained on beta-",
        "dora": "DoRA",
        "big": "`r` is 600, above the engine's `--max-lora-rank` of 64",
        "absent": "No artifact 'nowhere'",
    }
    assert told.keys() == reasons.keys()
    for name, reason in reasons.items():
        assert reason in told[name]


def test_an_engine_is_started_for_adapters_only_where_some_may_come(store: Store) -> None:
    def started(rank: int | None, **options: Any) -> tuple[str, dict[str, str]]:
        config = ProcessEngine.model_validate(options)
        made = launch(
            add_base(store),
            config,
            name="alpha",
            python=Path("python"),
            port=1,
            fingerprint="fh-1",
            has_gpu=False,
            max_lora_rank=rank,
            environ={},
        )
        return " ".join(made.command), made.env

    command, env = started(None)
    assert "lora" not in command
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" not in env
    command, env = started(64)
    assert "--max-lora-rank 64 --max-loras 4 --max-cpu-loras 16 " in command
    assert "--enable-lora" in command
    assert env["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "1"
    assert "--max-loras 32 --max-cpu-loras 32 " in started(8, maxLoras=32)[0]


def test_an_adapter_costs_what_its_models_engine_costs() -> None:
    replaces = {"model": "closed", "inputPrice": 1, "outputPrice": 2}
    about = {"artifact": "alpha", "cost": {"gpuHour": 3.6}, "replaces": replaces, "adapters": NAMED}
    pricing = Pricing(DeploymentConfig.model_validate({"models": {"alpha": about}}), {"support": _Adapter()})  # type: ignore[dict-item]
    assert pricing.charge("support", 10, 10, 1_000_000) == pricing.charge("alpha", 10, 10, 1_000_000) == 1000
    assert pricing.charge("somebody", 10, 10, 1_000_000) == 0
    assert pricing.comparisons["ft:alpha:acme:support:job-1"].closed_model == "closed"


class _Status:
    model = "alpha"


class _Adapter:
    adapter = _Status()
