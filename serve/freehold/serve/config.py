"""DeploymentConfig: the one schema of `freehold.yaml` and of the chart's values under `deployment:`.

snake_case in Python, camelCase in YAML; unknown keys are errors that name their path.
"""

from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from freehold.core.errors import ConfigError, NotFoundError

MODEL_NAME = r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$"


class ConfigModel(BaseModel):
    """Frozen, strict about unknown keys, camelCase outside."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )


class SecretRef(ConfigModel):
    """A secret by reference; its value is never written into a config file."""

    env: str
    """Name of the environment variable that holds it."""


class RestartPolicy(ConfigModel):
    """How a crashed engine is started again."""

    max_attempts: int = Field(default=5, ge=0)
    """Restarts without a healthy stretch in between before giving up."""
    backoff_s: float = Field(default=1.0, gt=0)
    """Wait before the first restart; doubles each time."""
    backoff_limit_s: float = Field(default=60.0, gt=0)
    """Longest wait before a restart."""
    healthy_after_s: float = Field(default=300.0, gt=0)
    """A stretch this long in the ready state clears the count of restarts."""


class ProcessEngine(ConfigModel):
    """A vLLM started as a child process of `freehold serve`."""

    kind: Literal["process"] = "process"
    """A child process of `freehold serve`."""
    python: str | None = None
    """Engine environment: a name from `freehold engine list` or the path of a Python; None is this one."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Arithmetic; `auto` is the checkpoint's own, but float32 on a CPU that lacks bfloat16 instructions."""
    max_model_len: int | None = Field(default=None, gt=0)
    """Context window in tokens; None is what the model's config says."""
    tensor_parallel: int = Field(default=1, gt=0)
    """Number of GPUs that share every layer."""
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)
    """Share of each GPU's memory for weights and KV cache."""
    cpu_kv_cache_gib: int = Field(default=1, gt=0)
    """KV cache of an engine without GPU, in GiB."""
    enforce_eager: bool | None = None
    """Skip graph capture and compilation; None means yes on a CPU, no on a GPU."""
    tool_call_parser: str | None = None
    """vLLM's parser for this family's tool calls, for example `hermes`; setting one turns tool calls on."""
    reasoning_parser: str | None = None
    """vLLM's parser that separates reasoning from the answer, for example `deepseek_r1`."""
    chat_template: Path | None = None
    """A Jinja file that replaces the artifact's own template."""
    extra_args: tuple[str, ...] = ()
    """Passed to vLLM's API server as they are."""
    env: dict[str, str] = Field(default_factory=dict)
    """Environment variables of the engine, on top of ours."""
    start_timeout_s: float = Field(default=1800, gt=0)
    """How long loading and warming up may take."""
    probe: Literal["require", "off"] = "require"
    """Golden probe before the engine counts as ready; `off` serves unproven and says so."""
    restart: RestartPolicy = RestartPolicy()
    """What happens after a crash."""


class RemoteEngine(ConfigModel):
    """Any OpenAI-compatible endpoint that somebody else runs."""

    kind: Literal["remote"]
    """An endpoint that somebody else runs."""
    base_url: str = Field(pattern=r"^https?://")
    """Root that ends before `/v1`, for example `http://10.0.0.7:8000`; a trailing `/v1` is dropped."""
    model: str | None = None
    """Name that the endpoint knows the model by; None means the same name."""
    api_key_from: SecretRef | None = None
    """Where the endpoint's API key is, for example `{env: ELSEWHERE_KEY}`."""

    @field_validator("base_url")
    @classmethod
    def _without_version(cls, value: str) -> str:
        parts = urlsplit(value)
        if not parts.hostname:
            raise ValueError("it names no host")
        if parts.port == 0:  # reading `port` raises ValueError on one that is no port
            raise ValueError("port 0 is no port")
        return value.rstrip("/").removesuffix("/v1")


def _engine_kind(value: Any) -> str:
    kind = value.get("kind", "process") if isinstance(value, dict) else getattr(value, "kind", "process")
    return str(kind)


EngineConfig = Annotated[
    Annotated[ProcessEngine, Tag("process")] | Annotated[RemoteEngine, Tag("remote")],
    Discriminator(_engine_kind),
]


class ServedModel(ConfigModel):
    """One model by the name that clients send."""

    artifact: str | None = None
    """Artifact id, model name in the store, or catalogue id; a remote engine has none."""
    engine: EngineConfig = ProcessEngine()
    """How it is run: a process (the default) or a remote endpoint."""


class GatewayConfig(ConfigModel):
    """The HTTP front."""

    host: str = "127.0.0.1"
    """Address to listen on; `0.0.0.0` is every IPv4 address of the machine."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    max_body_bytes: int = Field(default=64 * 1024 * 1024, gt=0)
    """Larger request bodies are refused with a 400; images and audio travel in bodies."""
    drain_timeout_s: float = Field(default=30.0, ge=0)
    """On SIGTERM, how long running requests may take to finish."""


class DeploymentConfig(ConfigModel):
    """Everything that `freehold serve` and the chart need to know."""

    models: dict[Annotated[str, Field(pattern=MODEL_NAME)], ServedModel] = Field(min_length=1)
    gateway: GatewayConfig = GatewayConfig()


def load_config(path: Path) -> DeploymentConfig:
    """Read `freehold.yaml`. Raises ConfigError with every problem at once, each with its path in the file."""
    try:
        text = path.read_text()
    except FileNotFoundError as error:
        raise NotFoundError(
            f"No config file {path}", next_step="Write one (docs/configuration.md), or run `freehold serve MODEL`."
        ) from error
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML", [str(error)]) from error
    return parse_config(data, str(path))


def parse_config(data: Any, origin: str) -> DeploymentConfig:
    """Validate parsed YAML. Raises ConfigError with every problem at once."""
    problems: list[str] = []
    config: DeploymentConfig | None = None
    try:
        config = DeploymentConfig.model_validate(data if data is not None else {})
    except ValidationError as error:
        problems += [_problem(item) for item in error.errors()]
    if config is not None:
        problems += _cross_field_problems(config)
    if problems or config is None:
        raise ConfigError(f"{origin} is not a deployment", problems, next_step="The schema: docs/configuration.md.")
    return config


def _problem(item: Any) -> str:
    place = ".".join(str(part) for part in item["loc"] if part not in ("process", "remote", "[key]")) or "(top level)"
    if item["type"] == "extra_forbidden":
        return f"{place}: unknown key"
    given = "" if item["type"] == "missing" or isinstance(item["input"], dict) else f" (given {item['input']!r})"
    return f"{place}: {item['msg'][0].lower()}{item['msg'][1:]}{given}"


def _cross_field_problems(config: DeploymentConfig) -> list[str]:
    problems = []
    for name, model in config.models.items():
        if isinstance(model.engine, ProcessEngine) and not model.artifact:
            problems.append(f"models.{name}.artifact: required, since a process engine loads one")
        if isinstance(model.engine, RemoteEngine) and model.artifact:
            problems.append(f"models.{name}.artifact: a remote engine has no artifact; drop one of the two")
    return problems
