"""What a client may ask of a fine-tuning job, in OpenAI's shape; what cannot be honoured is refused by its name.

https://platform.openai.com/docs/api-reference/fine-tuning/create
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from freehold.serve.gateway.errors import RequestError

Auto = Literal["auto"]
MAX_SEED = 2**31 - 1
MAX_SUFFIX = 40
_PRINTABLE = r"^[^\x00-\x1f\x7f]*$"


def _not_a_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("it is a boolean")
    return value


Whole = Annotated[int, Field(strict=True), BeforeValidator(_not_a_boolean)]
Epochs = Annotated[Whole, Field(ge=1, le=50)]
BatchSize = Annotated[Whole, Field(ge=1, le=256)]
Factor = Annotated[float, Field(strict=True, gt=0, le=100, allow_inf_nan=False), BeforeValidator(_not_a_boolean)]
Key = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=_PRINTABLE)]
Text = Annotated[str, StringConstraints(max_length=512, pattern=_PRINTABLE)]
FileId = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=_PRINTABLE)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Hyperparameters(_Part):
    """`auto` leaves it to the deployment."""

    n_epochs: Auto | Epochs = "auto"
    batch_size: Auto | BatchSize = "auto"
    learning_rate_multiplier: Auto | Factor = "auto"
    """Times the rate that the deployment takes for the model."""


class DpoHyperparameters(Hyperparameters):
    """The same, and the strength of the pull towards the model that training starts from."""

    beta: Auto | Annotated[Factor, Field(le=2)] = "auto"


class Supervised(_Part):
    """Imitation of answers."""

    hyperparameters: Hyperparameters = Hyperparameters()


class Dpo(_Part):
    """Learning from preferences."""

    hyperparameters: DpoHyperparameters = DpoHyperparameters()


class Method(_Part):
    """How the model learns."""

    type: Literal["supervised", "dpo"]
    supervised: Supervised | None = None
    dpo: Dpo | None = None

    @model_validator(mode="after")
    def _fits(self) -> "Method":
        other = "dpo" if self.type == "supervised" else "supervised"
        if getattr(self, other) is not None:
            raise ValueError(f"`{other}` does not belong to the type {self.type}")
        return self

    @property
    def given(self) -> Hyperparameters:
        """Its hyperparameters."""
        part = self.dpo if self.type == "dpo" else self.supervised
        return part.hyperparameters if part else Hyperparameters()


class NewTuningJob(_Part):
    """A job to be made."""

    model: Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=_PRINTABLE)]
    training_file: FileId
    validation_file: FileId | None = None
    hyperparameters: Hyperparameters | None = None
    """The older way to give those of a supervised method."""
    method: Method | None = None
    suffix: Annotated[str, StringConstraints(pattern=rf"^[A-Za-z0-9][A-Za-z0-9._-]{{0,{MAX_SUFFIX - 1}}}$")] | None = (
        None
    )
    """Part of the tuned model's name."""
    seed: Annotated[Whole, Field(ge=0, le=MAX_SEED)] | None = None
    metadata: Annotated[dict[Key, Text], Field(max_length=16)] | None = None
    integrations: list[dict[str, Any]] | None = None
    """None are honoured: a job tells its metrics as events and in its result file."""

    @property
    def chosen(self) -> Method:
        """The method, whichever way it was given. Raises RequestError if it was given both ways."""
        if self.hyperparameters is None:
            return self.method or Method(type="supervised")
        if self.method is not None:
            raise RequestError(
                "The hyperparameters are given twice",
                why="`method` has its own",
                next_step="Leave the outer `hyperparameters` out.",
                code="invalid_request",
                param="hyperparameters",
            )
        return Method(type="supervised", supervised=Supervised(hyperparameters=self.hyperparameters))

    def refuse_integrations(self) -> None:
        """Raises RequestError if there are any."""
        if self.integrations:
            raise RequestError(
                "Integrations are not honoured here",
                why="nothing leaves the house; metrics come as events and in the job's result file",
                next_step="Leave `integrations` out.",
                code="unsupported_parameter",
                param="integrations",
            )
