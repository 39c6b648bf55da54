"""DeploymentConfig: what is accepted, and every mistake at once with its path."""

import re
from pathlib import Path

import pytest

from freehold.core.errors import ConfigError, NotFoundError, UserError
from freehold.core.settings import load_settings
from freehold.core.store import Store
from freehold.serve.config import ProcessEngine, RayEngine, RemoteEngine, load_config, parse_config
from freehold.serve.deployment import from_file, from_model
from freehold.serve.engines.fleet import build_fleet
from freehold.serve.engines.upstream import build_upstreams

GOOD = """
models:
  small:
    artifact: smollm2-135m-instruct
    engine: {maxModelLen: 2048, extraArgs: [--seed, "1"]}
  elsewhere:
    engine: {kind: remote, baseUrl: "http://10.0.0.7:8000/v1/", model: big}
gateway: {port: 8100}
"""


def _write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "freehold.yaml"
    path.write_text(text)
    return path


def test_a_good_file_reads_as_it_is_written(tmp_path: Path) -> None:
    config = load_config(_write(tmp_path, GOOD))
    small, elsewhere = config.models["small"].engine, config.models["elsewhere"].engine
    assert isinstance(small, ProcessEngine)
    assert (small.max_model_len, small.extra_args, small.probe) == (2048, ("--seed", "1"), "require")
    assert isinstance(elsewhere, RemoteEngine)
    assert elsewhere.base_url == "http://10.0.0.7:8000"
    assert config.gateway.port == 8100


def test_an_engine_on_ray_says_how_many_replicas_there_may_be() -> None:
    def engine(**keys: object) -> RayEngine:
        found = parse_config({"models": {"a": {"artifact": "x", "engine": {"kind": "ray", **keys}}}}, "it").models["a"]
        assert isinstance(found.engine, RayEngine)
        return found.engine

    assert (engine().address, engine().most_replicas, engine().may_sleep) == ("auto", 1, False)
    assert (engine(replicas=3).most_replicas, engine(replicas=3).may_sleep) == (3, False)
    asleep = engine(autoscaling={"min": 0, "max": 4}, address="10.0.0.5:6379")
    assert (asleep.most_replicas, asleep.may_sleep) == (4, True)


def test_every_mistake_is_reported_at_once_with_its_path(tmp_path: Path) -> None:
    text = """
models:
  small: {artefact: x, engine: {maxModelLen: -1, dtype: int4}}
  "bad name": {artifact: x}
  far: {engine: {kind: remote, baseUrl: "ftp://x"}}
gateway: {port: 70000, prot: 1}
"""
    with pytest.raises(ConfigError) as caught:
        load_config(_write(tmp_path, text))
    places = sorted(problem.split(":")[0] for problem in caught.value.problems)
    assert places == [
        "gateway.port",
        "gateway.prot",
        "models.bad name",
        "models.far.engine.baseUrl",
        "models.small.artefact",
        "models.small.engine.dtype",
        "models.small.engine.maxModelLen",
    ]
    assert "models.small.artefact: unknown key" in caught.value.problems


def _ray(**keys: object) -> dict[str, object]:
    return {"models": {"a": {"artifact": "x", "engine": {"kind": "ray", **keys}}}}


def _remote(url: str) -> dict[str, object]:
    return {"models": {"a": {"engine": {"kind": "remote", "baseUrl": url}}}}


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (None, "models: field required"),
        ({"models": {}}, "models: dictionary should have at least 1 item"),
        ({"models": {"a": {}}}, "models.a.artifact: required, since a process engine loads one"),
        (
            {"models": {"a": {"artifact": "x", "engine": {"kind": "remote", "baseUrl": "http://x"}}}},
            "models.a.artifact: a remote engine has no artifact",
        ),
        ({"models": {"a": {"artifact": "x", "engine": {"kind": "docker"}}}}, "models.a.engine: input tag 'docker'"),
        (_ray(address="somewhere"), "models.a.engine.address: string should match pattern"),
        (_ray(autoscaling={"max": 2}, replicas=2), "models.a.engine: value error, replicas: not with autoscaling"),
        (_ray(autoscaling={"min": 3, "max": 2}), "models.a.engine.autoscaling: value error, min is 3 and max 2"),
        (_ray(resources={"GPU": 0}), "models.a.engine.resources.GPU: input should be greater than 0"),
        ({"models": {"a": {"engine": {"kind": "ray"}}}}, "models.a.artifact: required, since a ray engine loads one"),
        (_remote("http://"), "models.a.engine.baseUrl: value error, it names no host"),
        (_remote("http://x:99999"), "models.a.engine.baseUrl: value error, Port out of range"),
        (_remote("http://x:port"), "models.a.engine.baseUrl: value error, Port could not be cast"),
        (_remote("http://x:0"), "models.a.engine.baseUrl: value error, port 0 is no port"),
    ],
)
def test_what_does_not_fit_together_is_refused(data: object, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(data, "test")
    assert any(found.startswith(problem) for found in caught.value.problems), caught.value.problems


def test_a_missing_or_unreadable_file_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as missing:
        load_config(tmp_path / "freehold.yaml")
    assert "freehold serve MODEL" in missing.value.next_step
    with pytest.raises(ConfigError, match="is not YAML"):
        load_config(_write(tmp_path, "models: [unclosed"))


def test_options_override_the_address_but_not_a_model(tmp_path: Path) -> None:
    path = _write(tmp_path, GOOD)
    none = {"name": None, "dtype": None, "max_model_len": None}
    assert from_file(path, host="0.0.0.0", port=1234, **none).gateway.port == 1234
    with pytest.raises(UserError, match="--dtype cannot be combined"):
        from_file(path, host=None, port=None, **none | {"dtype": "float16"})


def test_a_wrong_option_costs_no_pull(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freehold.serve.deployment.pull", lambda *_: pytest.fail("it was pulled"))
    with pytest.raises(ConfigError, match="dtype"):
        from_model(
            "smollm2-135m-instruct",
            load_settings(),
            host=None,
            port=None,
            name=None,
            dtype="int4",
            max_model_len=None,
        )


def test_everything_that_is_missing_on_the_machine_is_reported_at_once(home: Path) -> None:
    config = parse_config(
        {
            "models": {
                "a": {"artifact": "never-pulled"},
                "b": {"artifact": "nor-this"},
                "c": {"engine": {"kind": "remote", "baseUrl": "http://x", "apiKeyFrom": {"env": "NO_SUCH_KEY"}}},
            }
        },
        "test",
    )
    settings = load_settings()
    with pytest.raises(ConfigError) as caught:
        build_fleet(config, settings, Store(settings.store_root))
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "models.a",
        "models.b",
        "models.c.engine.apiKeyFrom.env",
    ]
    assert "freehold pull never-pulled" in caught.value.problems[0]


def test_routes_lead_only_to_what_is_configured() -> None:
    upstreams = {"openai": {"baseUrl": "https://closed.example/v1"}}
    routes = {
        "fine": {"targets": {"small": 1, "openai/gpt-4o-mini": 0}, "fallback": "openai/gpt-4o-mini"},
        "small": {"targets": {"small": 1}},
        "idle": {"targets": {"small": 0}},
        "lost": {"targets": {"smal": 1}, "fallback": ["openai/"], "shadow": {"target": "nobody/x"}},
    }
    with pytest.raises(ConfigError) as caught:
        parse_config({"models": {"small": {"artifact": "a"}}, "routes": routes, "upstreams": upstreams}, "It")
    assert sorted(problem.split(":")[0] for problem in caught.value.problems) == [
        "routes.idle.targets",
        "routes.lost.fallback.0",
        "routes.lost.shadow",
        "routes.lost.targets.smal",
        "routes.small",
    ]
    del routes["small"], routes["idle"], routes["lost"]
    config = parse_config({"models": {"small": {"artifact": "a"}}, "routes": routes, "upstreams": upstreams}, "It")
    assert config.routes["fine"].fallback == ("openai/gpt-4o-mini",)
    assert config.upstreams["openai"].base_url == "https://closed.example"


MAJORITY = {"agents": {"small": 5}, "mode": "majority"}


@pytest.mark.parametrize(
    ("contemplate", "more", "problems"),
    [
        (None, {}, ["contemplate: required"]),
        (None, {"strategy": "targets"}, ["targets: required"]),
        (MAJORITY, {"strategy": "targets", "targets": {"small": 1}}, ["contemplate: it counts only"]),
        (MAJORITY, {"targets": {"small": 1}, "sticky": "none"}, ["sticky: a route", "targets: a route"]),
        ({"agents": {"small": 1}}, {}, ["contemplate.agents: one draft", "contemplate.judge: a debate needs one"]),
        (
            {"agents": {"smal": 2, "claude/x": 1}, "judge": "nobody"},
            {},
            ["contemplate.agents.smal: no model", "contemplate.judge: no model", "contemplate: claude/x has no"],
        ),
        (
            {**MAJORITY, "judge": "small", "rounds": 2, "maxTokens": 4, "quorum": 6},
            {},
            [f"contemplate.{name}:" for name in ("judge", "maxTokens", "quorum", "rounds")],
        ),
    ],
)
def test_a_route_that_contemplates_says_everything_that_does_not_fit(
    contemplate: object, more: dict[str, object], problems: list[str]
) -> None:
    upstreams = {"claude": {"baseUrl": "https://closed.example", "api": "anthropic"}}
    route = {"strategy": "contemplate", **({"contemplate": contemplate} if contemplate else {}), **more}
    data = {"models": {"small": {"artifact": "a"}}, "routes": {"r": route}, "upstreams": upstreams}
    with pytest.raises(ConfigError) as caught:
        parse_config(data, "It")
    found = caught.value.problems
    assert len(found) == len(problems), found
    for expected in problems:
        assert any(problem.startswith(f"routes.r.{expected}") for problem in found), (expected, found)


@pytest.mark.parametrize(
    ("contemplate", "problem"),
    [
        ({"agents": {}}, "routes.r.contemplate.agents"),
        ({"agents": {"small": 0}}, "routes.r.contemplate.agents.small"),
        ({"agents": {"small": 2}, "answerPattern": "("}, "it is no regular expression"),
        ({"agents": {"small": 2}, "patience": 3}, "routes.r.contemplate.patience: unknown key"),
        ({"agents": {"small": 2}, "rounds": -1}, "routes.r.contemplate.rounds"),
    ],
)
def test_wrong_values_of_a_contemplation_are_named(contemplate: object, problem: str) -> None:
    route = {"strategy": "contemplate", "contemplate": contemplate}
    with pytest.raises(ConfigError, match=re.escape(problem)):
        parse_config({"models": {"small": {"artifact": "a"}}, "routes": {"r": route}}, "It")


def test_the_models_of_a_contemplation_are_reached_like_any_target() -> None:
    contemplate = {"agents": {"small": 2, "openai/gpt-4o-mini": 1}, "judge": "openai/gpt-4o"}
    routes = {"r": {"strategy": "contemplate", "contemplate": contemplate, "record": {}}}
    upstreams = {"openai": {"baseUrl": "https://closed.example/v1"}}
    config = parse_config({"models": {"small": {"artifact": "a"}}, "routes": routes, "upstreams": upstreams}, "It")
    assert set(build_upstreams(config, {})) == {"openai/gpt-4o-mini", "openai/gpt-4o"}


def test_jobs_start_only_from_models_that_can_take_their_result() -> None:
    models = {
        "ready": {"artifact": "a", "adapters": {}},
        "plain": {"artifact": "a"},
        "away": {"engine": {"kind": "remote", "baseUrl": "http://x"}},
    }
    tuning = {"models": ["ready", "plain", "away", "nobody"]}
    with pytest.raises(ConfigError) as caught:
        parse_config({"models": models, "tuning": tuning}, "It")
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "tuning.models.1",
        "tuning.models.2",
        "tuning.models.3",
    ]
    assert "models.plain" in caught.value.problems[0]
    config = parse_config({"models": models, "tuning": {"models": ["ready", "plain"], "serve": False}}, "It")
    assert config.tuning is not None and config.tuning.max_file_bytes == 512 * 1024 * 1024
