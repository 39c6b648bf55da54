"""DeploymentConfig: the one schema of `freehold.yaml` and of the chart's values under `deployment:`."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError
from pydantic.alias_generators import to_camel

from freehold.core.errors import ConfigError
from freehold.serve.config.base import NAME, UPSTREAM_NAME, ConfigModel, problem_of, read_yaml
from freehold.serve.config.batches import BatchesConfig
from freehold.serve.config.gateway import GatewayConfig
from freehold.serve.config.models import RemoteEngine, ServedModel, VllmEngine
from freehold.serve.config.routes import Route, Upstream
from freehold.serve.config.tuning import TuningConfig


class DeploymentConfig(ConfigModel):
    """Everything that `freehold serve` and the chart need to know."""

    models: dict[Annotated[str, Field(pattern=NAME)], ServedModel] = Field(min_length=1)
    routes: dict[Annotated[str, Field(pattern=NAME)], Route] = Field(default_factory=dict)
    upstreams: dict[Annotated[str, Field(pattern=UPSTREAM_NAME)], Upstream] = Field(default_factory=dict)
    gateway: GatewayConfig = GatewayConfig()
    tuning: TuningConfig | None = None
    """Fine-tuning through the API; without it there is none."""
    batches: BatchesConfig | None = None
    """Offline inference through the API; without it there is none."""
    policy: Path | None = None
    """A `policy.yaml` that holds for this deployment, beside the one of the machine; relative to this file."""

    @property
    def adapters(self) -> dict[str, str]:
        """The model of each adapter that is named here."""
        return {adapter: name for name, model in self.models.items() for adapter in model.adapters or ()}


def load_config(path: Path) -> DeploymentConfig:
    """Read `freehold.yaml`. Raises ConfigError with every problem at once, each with its path in the file."""
    data = read_yaml(path, "Write one (docs/configuration.md), or run `freehold serve MODEL`.")
    config = parse_config(data, str(path))
    if config.policy is None:
        return config
    return config.model_copy(update={"policy": path.absolute().parent / config.policy.expanduser()})


def parse_config(data: Any, origin: str) -> DeploymentConfig:
    """Validate parsed YAML. Raises ConfigError with every problem at once."""
    problems: list[str] = []
    config: DeploymentConfig | None = None
    try:
        config = DeploymentConfig.model_validate(data if data is not None else {})
    except ValidationError as error:
        problems += [problem_of(item) for item in error.errors()]
    if config is not None:
        problems += _cross_field_problems(config)
    if problems or config is None:
        raise ConfigError(f"{origin} is not a deployment", problems, next_step="The schema: docs/configuration.md.")
    return config


def _cross_field_problems(config: DeploymentConfig) -> list[str]:
    problems = []
    for name, model in config.models.items():
        if isinstance(model.engine, VllmEngine) and not model.artifact:
            problems.append(f"models.{name}.artifact: required, since a {model.engine.kind} engine loads one")
        if isinstance(model.engine, RemoteEngine) and model.artifact:
            problems.append(f"models.{name}.artifact: a remote engine has no artifact; drop one of the two")
    problems += _adapter_problems(config)
    for name, route in config.routes.items():
        problems += _route_problems(name, route, config)
    return problems + _tuning_problems(config) + _batches_problems(config)


def _adapter_problems(config: DeploymentConfig) -> list[str]:
    problems = []
    owner: dict[str, str] = {}
    for name, model in config.models.items():
        if model.adapters is None:
            continue
        if isinstance(model.engine, RemoteEngine):
            problems.append(f"models.{name}.adapters: a remote engine loads its own; name each of them as a model")
        elif model.engine.max_cpu_loras and model.engine.max_cpu_loras < model.engine.max_loras:
            problems.append(f"models.{name}.engine.maxCpuLoras: at least maxLoras, which is {model.engine.max_loras}")
        for adapter in model.adapters:
            other = "a model" if adapter in config.models else "a route" if adapter in config.routes else ""
            if other or adapter in owner:
                other = other or f"an adapter of {owner[adapter]}"
                problems.append(f"models.{name}.adapters.{adapter}: {other} has this name; take another")
            owner.setdefault(adapter, name)
    return problems


def _tuning_problems(config: DeploymentConfig) -> list[str]:
    problems = []
    for index, name in enumerate(config.tuning.models if config.tuning else ()):
        model = config.models.get(name)
        if model is None:
            problems.append(f"tuning.models.{index}: no model '{name}'; there are {', '.join(config.models)}")
        elif not model.artifact:
            problems.append(f"tuning.models.{index}: {name} has no artifact here to start from")
        elif model.adapters is None and config.tuning and config.tuning.serve:
            problems.append(
                f"tuning.models.{index}: {name} loads no adapters; write `adapters: {{}}` at models.{name}, or "
                "`serve: false` here"
            )
    return problems


def _batches_problems(config: DeploymentConfig) -> list[str]:
    batches, tuning = config.batches, config.tuning
    if batches is None or tuning is None:
        return []
    given = {"teamBytes": batches.team_bytes, "totalBytes": batches.total_bytes}
    return [
        f"batches.{name}: tuning.{name} holds for all files; drop this one" for name, value in given.items() if value
    ]


def _route_problems(name: str, route: Route, config: DeploymentConfig) -> list[str]:
    problems = [f"routes.{name}: a model has this name; take another"] if name in config.models else []
    places = [(f"targets.{target}", target) for target in route.targets]
    places += [(f"fallback.{index}", target) for index, target in enumerate(route.fallback)]
    places += [(place, part.target) for place, part in (("canary", route.canary), ("shadow", route.shadow)) if part]
    if route.contemplate is not None:
        places += [(f"contemplate.agents.{agent}", agent) for agent in route.contemplate.agents]
        places += [("contemplate.judge", route.contemplate.judge)] if route.contemplate.judge else []
    for place, target in places:
        upstream, _, model = target.partition("/")
        is_ours = target in config.models or target in config.adapters
        if not is_ours and not (upstream in config.upstreams and model):
            known = ", ".join([*config.models, *config.adapters, *(f"{each}/…" for each in config.upstreams)])
            problems.append(f"routes.{name}.{place}: no model or upstream of that name; there are {known}")
    if route.strategy == "contemplate":
        return problems + [f"routes.{name}.{problem}" for problem in _contemplation_problems(route, config)]
    if route.contemplate is not None:
        problems.append(
            f"routes.{name}.contemplate: it counts only with `strategy: contemplate`; write that, or drop it"
        )
    if not route.targets:
        problems.append(f"routes.{name}.targets: required, but for `strategy: contemplate`")
    elif not any(route.targets.values()):
        problems.append(f"routes.{name}.targets: every weight is 0, so nothing would answer")
    return problems


def _contemplation_problems(route: Route, config: DeploymentConfig) -> list[str]:
    """Each with its path below the route."""
    others = sorted(route.model_fields_set - {"strategy", "contemplate", "record"})
    problems = [f"{to_camel(name)}: a route that contemplates has none; drop it" for name in others]
    if route.contemplate is None:
        return [*problems, "contemplate: required for `strategy: contemplate`"]
    for name in dict.fromkeys(route.contemplate.leads_to()):
        upstream = config.upstreams.get(name.partition("/")[0])
        if name not in config.models and upstream is not None and upstream.api == "anthropic":
            problems.append(f"contemplate: {name} has no /v1/chat/completions, which all parts are asked by")
    return problems + [f"contemplate.{problem}" for problem in route.contemplate.problems()]
