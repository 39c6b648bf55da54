"""How a model is run: `models.<name>`."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from freehold.serve.config.base import NAME, ConfigModel, SecretRef, without_version

EngineRank = Literal[1, 8, 16, 32, 64, 128, 256, 320, 512]
"""What vLLM's `--max-lora-rank` takes; a test holds it against `freehold.core.adapters.ENGINE_RANKS`."""


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


class VllmEngine(ConfigModel):
    """What is said of a vLLM that Freehold starts, wherever it runs."""

    kind: str
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
    max_loras: int = Field(default=4, gt=0, le=256)
    """Adapters that may answer in one batch; requests for further ones wait. Counts only with `adapters`."""
    max_cpu_loras: int | None = Field(default=None, gt=0)
    """Adapters kept in memory; any more are read from the disk again when they are asked for. None is 16, or `maxLoras`
    if that is more."""
    max_lora_rank: EngineRank | None = None
    """Largest rank of an adapter; memory is set aside for `maxLoras` of it. None is the largest that `adapters` names,
    but at least 64, so that most adapters can be loaded at runtime."""
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


class ProcessEngine(VllmEngine):
    """A vLLM started as a child process of `freehold serve`."""

    kind: Literal["process"] = "process"
    """A child process of `freehold serve`."""


class Autoscaling(ConfigModel):
    """How many replicas Ray Serve runs, by the requests that they have."""

    min: int = Field(default=1, ge=0)
    """Fewest replicas. With 0 the model sleeps while nobody asks, and Serve holds the request that wakes it."""
    max: int = Field(gt=0)
    """Most replicas."""
    target_requests: float = Field(default=16.0, gt=0)
    """Requests at the same time that one replica should have."""
    up_after_s: float = Field(default=10.0, ge=0)
    """How long there must be too many, before a replica is added; the first one after a sleep comes at once."""
    down_after_s: float = Field(default=300.0, ge=0)
    """How long there must be too few, before a replica is taken away, the last one too."""

    @model_validator(mode="after")
    def _ordered(self) -> "Autoscaling":
        if self.min > self.max:
            raise ValueError(f"min is {self.min} and max {self.max}; the other way round")
        return self


class RayEngine(VllmEngine):
    """A vLLM on the machines of a Ray cluster, run by Ray Serve LLM."""

    kind: Literal["ray"]
    """Replicas on a Ray cluster."""
    address: str = Field(default="auto", pattern=r"^(auto|[^/\s]+:\d+)$")
    """`auto` for the cluster that runs on this machine alone, else `host:port` of its head. This machine must be one of
    its nodes (`freehold ray up`)."""
    pipeline_parallel: int = Field(default=1, gt=0)
    """Number of stages that the layers are divided into."""
    replicas: int = Field(default=1, gt=0)
    """Engines that answer side by side; not with `autoscaling`."""
    autoscaling: Autoscaling | None = None
    """As many replicas as the requests need."""
    resources: dict[str, Annotated[float, Field(gt=0)]] | None = None
    """What each worker of an engine takes of its node: there are `tensorParallel` × `pipelineParallel` of them. None is
    one `GPU`, or on a machine without any one `CPU`."""
    placement: Literal["pack", "strict-pack", "spread", "strict-spread"] = "pack"
    """Whether the workers of an engine should share a node, must, should not, or must not."""

    @model_validator(mode="after")
    def _one_count(self) -> "RayEngine":
        if self.autoscaling is not None and "replicas" in self.model_fields_set:
            raise ValueError("replicas: not with autoscaling, which says how many there are")
        return self

    @property
    def most_replicas(self) -> int:
        """As many as there may be at the same time."""
        return self.replicas if self.autoscaling is None else self.autoscaling.max

    @property
    def may_sleep(self) -> bool:
        """Whether there may be no replica at all."""
        return self.autoscaling is not None and self.autoscaling.min == 0


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

    leaves: bool = True
    """Whether a request leaves the house with it: keys labelled `must-stay` get no answer from one that does."""

    @field_validator("base_url")
    @classmethod
    def _root(cls, value: str) -> str:
        return without_version(value)


def _engine_kind(value: Any) -> str:
    kind = value.get("kind", "process") if isinstance(value, dict) else getattr(value, "kind", "process")
    return str(kind)


EngineConfig = Annotated[
    Annotated[ProcessEngine, Tag("process")]
    | Annotated[RayEngine, Tag("ray")]
    | Annotated[RemoteEngine, Tag("remote")],
    Discriminator(_engine_kind),
]


class ServedAdapter(ConfigModel):
    """A LoRA adapter of the model, which clients name like a model."""

    artifact: str
    """Artifact id of the adapter, or its name in the store."""
    accept: tuple[Literal["parity"], ...] = ()
    """Gates that it need not have passed: `[parity]` serves an adapter that was not judged, or was refused."""


class Cost(ConfigModel):
    """What running the model costs."""

    gpu_hour: float = Field(ge=0)
    """Price of one GPU for one hour, in `gateway.currency`; on a machine without GPU, of the machine."""
    gpus: int | None = Field(default=None, gt=0)
    """GPUs that the engine holds; none means `tensorParallel` (on Ray
    × `pipelineParallel` × `replicas`), or one."""


class Replaces(ConfigModel):
    """The closed model whose work this one does, for the comparison in reports."""

    model: str = Field(min_length=1)
    """Its name."""
    input_price: float = Field(ge=0)
    """Its list price per million prompt tokens, in `gateway.currency`."""
    output_price: float = Field(ge=0)
    """Its list price per million generated tokens."""


class ServedModel(ConfigModel):
    """One model by the name that clients send."""

    artifact: str | None = None
    """Artifact id, model name in the store, or catalogue id; a remote engine has none."""
    engine: EngineConfig = ProcessEngine()
    """How it is run: a process (the default), replicas on a Ray cluster, or a remote endpoint."""
    accept: tuple[Literal["parity", "quality"], ...] = ()
    """Gates that it need not have passed: a merged model its parity, a quantized one its quality."""
    requires: tuple[str, ...] = ()
    """Suites that its artifact must have been promoted with (`freehold promote`)."""
    adapters: dict[Annotated[str, Field(pattern=NAME)], ServedAdapter] | None = None
    """Adapters by the name that clients send. With `{}` none is there at the start, but they can be loaded while the
    engine runs; without this key it is started for the model alone."""
    cost: Cost | None = None
    """Price of its hardware; without it, reports count tokens only."""
    replaces: Replaces | None = None
    """The closed model that it stands in for."""
