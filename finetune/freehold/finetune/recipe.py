"""The recipe: `freehold finetune RECIPE.yaml`, one schema. snake_case here, camelCase in the file."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )


class DataRecipe(_Part):
    """What is learnt from."""

    train: tuple[str, ...] = Field(min_length=1)
    """Files, `datasets:NAME[:SPLIT]`, or `recorded:ROUTE` for what the gateway recorded."""
    eval: tuple[str, ...] = ()
    """The same for evaluation; none means `evalFraction` of the training data."""
    eval_fraction: float = Field(default=0.1, ge=0, le=0.5)
    """Share of the training data held out when `eval` names nothing; 0 means no evaluation."""
    format: Literal["auto", "chat", "alpaca", "sharegpt", "completion", "text", "preference", "kto"] = "auto"
    """How a line is written; `auto` looks."""
    replay: tuple[str, ...] = ()
    """Plain text that is learnt beside it, so that what the model could do before is not lost: files, or `neutral` for
    the thirty paragraphs that ship. For `sft`."""
    over_long: Literal["refuse", "split"] = "refuse"
    """What is done with an example over `maxLength`: refuse the run, or split it at turns. Never cut."""


class LoraRecipe(_Part):
    """The adapter's shape. https://arxiv.org/abs/2106.09685"""

    rank: int = Field(default=16, ge=1, le=512)
    """Rank of the update."""
    alpha: float | None = Field(default=None, gt=0)
    """Scale over rank; None means twice the rank (with rsLoRA: the rank)."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of inputs to the adapter that is dropped in training."""
    targets: tuple[str, ...] | Literal["all-linear"] = "all-linear"
    """Names of the modules that get an adapter; `all-linear` is each linear layer but the output head, and on
    mixtures of experts none of the experts or routers."""
    experts: bool = False
    """Adapt the experts of a mixture of experts too."""
    rslora: bool = False
    """Scale by the root of the rank. https://arxiv.org/abs/2312.03732"""
    dora: bool = False
    """Weight decomposition; no engine serves it as an adapter, so it needs `output.merge`.
    https://arxiv.org/abs/2402.09353"""
    init: Literal["default", "pissa", "olora", "gaussian"] = "default"
    """How the adapter starts; `pissa` and `olora` change the base, so they need `output.merge`."""
    modules_to_save: tuple[str, ...] = ()
    """Modules trained whole; they need `output.merge`."""


class TrainingRecipe(_Part):
    """How it is learnt."""

    objective: Literal["sft", "dpo", "orpo", "kto"] = "sft"
    """`sft` imitates answers; the others learn from preferences."""
    epochs: float = Field(default=3.0, gt=0)
    """Passes over the data."""
    max_steps: int | None = Field(default=None, gt=0)
    """Optimizer steps; in place of `epochs`."""
    learning_rate: float | None = Field(default=None, gt=0)
    """Peak rate; None means 2e-4 for `sft` (1e-3 below one billion parameters) and 5e-6 for preferences."""
    learning_rate_multiplier: float = Field(default=1.0, gt=0)
    """Times that rate: higher or lower than the default, whatever it is."""
    scheduler: Literal["cosine", "linear", "constant"] = "cosine"
    """Course of the rate after warm-up."""
    warmup_ratio: float = Field(default=0.03, ge=0, lt=1)
    """Share of the steps in which the rate rises."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decay of the adapter's weights."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients are clipped to this norm."""
    batch_size: int = Field(default=8, gt=0)
    """Examples per optimizer step over all workers."""
    micro_batch_size: int | None = Field(default=None, gt=0)
    """Examples per forward pass and worker; None means as many as the memory estimate allows."""
    max_length: int | None = Field(default=None, gt=0)
    """Longest example in tokens; None means the longest in the data, at most the model's context."""
    packing: bool = False
    """Several examples per row, kept apart by attention; fewer wasted tokens."""
    gradient_checkpointing: Literal["auto", "on", "off"] = "auto"
    """Recompute activations to save memory; `auto` does when the estimate needs it."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic; `auto` chooses by the hardware and says why."""
    quantization: Literal["none", "nf4", "int8"] = "none"
    """The base in 4 or 8 bits while the adapter is trained (QLoRA). https://arxiv.org/abs/2305.14314"""
    preference_beta: float = Field(default=0.1, gt=0)
    """Strength of the pull towards the reference model (DPO, KTO) or of the odds ratio (ORPO)."""
    seed: int = Field(default=0, ge=0)
    """Of data order, dropout and the adapter's start."""


class WatchRecipe(_Part):
    """What is seen of it while it runs."""

    eval_every: float = Field(default=0.25, gt=0)
    """Evaluate every so many epochs."""
    save_every: float = Field(default=0.25, gt=0)
    """Checkpoint every so many epochs."""
    keep_checkpoints: int = Field(default=2, ge=1)
    """Older checkpoints than these are removed."""
    samples: int = Field(default=3, ge=0)
    """Prompts of the evaluation data that are answered at each evaluation, to be looked at."""
    report_to: tuple[Literal["mlflow", "wandb", "tensorboard"], ...] = ()
    """Trackers that also get the metrics."""


class ScaleRecipe(_Part):
    """How many share the work."""

    workers: int = Field(default=1, ge=1)
    """Processes, one a GPU (or, without one, on the CPU over gloo)."""
    launcher: Literal["accelerate", "ray"] = "accelerate"
    """`accelerate` on this machine; `ray` over the machines of a cluster."""
    fsdp: bool = False
    """Split the base over the workers; without it each holds all of it."""


class OutputRecipe(_Part):
    """What comes of it."""

    name: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")
    """Name in the store; None means the model's name with `-tuned`."""
    merge: bool = False
    """Store the merged model instead of an adapter."""


class Recipe(_Part):
    """One fine-tuning run."""

    model: str
    """Artifact id or name in the store."""
    data: DataRecipe
    lora: LoraRecipe = LoraRecipe()
    training: TrainingRecipe = TrainingRecipe()
    watch: WatchRecipe = WatchRecipe()
    scale: ScaleRecipe = ScaleRecipe()
    output: OutputRecipe = OutputRecipe()

    @model_validator(mode="after")
    def _is_servable(self) -> "Recipe":
        """What no engine loads as an adapter must be merged, and is refused before any training."""
        unservable = {
            "lora.dora": self.lora.dora,
            f"lora.init: {self.lora.init}": self.lora.init in ("pissa", "olora"),
            "lora.modulesToSave": bool(self.lora.modules_to_save),
        }
        named = [name for name, used in unservable.items() if used]
        if named and not self.output.merge:
            raise ValueError(
                f"no engine serves an adapter with {' and '.join(named)}: "
                "write `output: {merge: true}` to get a merged model, or leave it out"
            )
        return self

    @model_validator(mode="after")
    def _can_replay(self) -> "Recipe":
        """A text has no rejected answer."""
        if self.data.replay and self.training.objective != "sft":
            raise ValueError(
                f"data.replay is for `sft`: training.objective {self.training.objective} learns from pairs"
            )
        return self

    @model_validator(mode="after")
    def _has_a_reference(self) -> "Recipe":
        """The reference of DPO and KTO is the base without its adapter, which these starts have changed."""
        if self.training.objective in ("dpo", "kto") and self.lora.init in ("pissa", "olora"):
            raise ValueError(
                f"lora.init: {self.lora.init} changes the base, and {self.training.objective} compares with it: "
                "write `lora: {init: default}`, or `training: {objective: orpo}`, which compares with nothing"
            )
        return self

    @model_validator(mode="after")
    def _is_trainable_quantized(self) -> "Recipe":
        """A base in few bits can neither be changed by the adapter's start nor be split up."""
        quantization = self.training.quantization
        if quantization != "none" and self.lora.init in ("pissa", "olora"):
            raise ValueError(
                f"lora.init: {self.lora.init} changes the base's weights, which training.quantization: {quantization} "
                "holds in few bits: write `lora: {init: default}`, or leave the quantization out"
            )
        if quantization != "none" and self.scale.fsdp:
            raise ValueError(
                f"scale.fsdp cannot split a base that is held as {quantization}: "
                "write `scale: {fsdp: false}`, each worker then holds all of it, or leave the quantization out"
            )
        return self
