"""`parity.json`: what the trainer's own model answers to prompts that it was not trained on.

It lies in an adapter's artifact (and in a merged model's). The parity gate and the engines hold what is served against
it: the same rendering, the same greedy tokens, the same log-probabilities, and the same change from the base.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from freehold.core.errors import IntegrityError

PARITY_FILE = "parity.json"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ParityPosition(_Record):
    """One generated position."""

    token_id: int
    """The token that the tuned model continues with (greedy)."""
    tuned: dict[int, float] = Field(min_length=1)
    """Natural-log probabilities of the tuned model's most likely tokens, by token id; `token_id` is among them."""
    base: dict[int, float] = Field(min_length=1)
    """Log-probabilities of the same tokens at the same place with the adapter off."""

    @model_validator(mode="after")
    def _speak_of_the_same_tokens(self) -> "ParityPosition":
        if self.tuned.keys() != self.base.keys() or self.token_id not in self.tuned:
            raise ValueError("`tuned` and `base` must hold the same tokens, `token_id` among them")
        return self

    @property
    def gap(self) -> float:
        """Nats between the two most likely tokens; near 0 is a tie, which rounding decides."""
        first, *others = sorted(self.tuned.values(), reverse=True)
        return first - others[0] if others else float("inf")


class ParityPrompt(_Record):
    """One prompt, as the trainer renders it, and the greedy continuation."""

    name: str
    """Where the prompt comes from, for example `facts.jsonl:17`."""
    messages: tuple[dict[str, Any], ...] | None
    """The chat up to the answer, arguments of tool calls as objects; None for a raw prompt."""
    tools: tuple[dict[str, Any], ...] = ()
    prompt_token_ids: tuple[int, ...] = Field(min_length=1)
    """The rendered prompt, the generation prompt included."""
    positions: tuple[ParityPosition, ...] = Field(min_length=1)
    """The continuation, at most 32 tokens, up to and with an end token."""

    @property
    def continuation(self) -> tuple[int, ...]:
        return tuple(position.token_id for position in self.positions)


class ParityReference(_Record):
    """Contents of `parity.json`."""

    schema_version: Literal[1] = 1
    base: str
    """Id of the artifact that was tuned."""
    base_digest: str
    """Content digest of that artifact."""
    base_quantization: Literal["none", "nf4", "int8"] = "none"
    """How the base was held while these numbers were computed."""
    dtype: str = "float32"
    """Arithmetic of the forward passes."""
    chat_template_sha256: str | None
    """Of the template that rendered the prompts; None for a model without one."""
    end_token_ids: tuple[int, ...] = ()
    """Tokens that end an answer."""
    versions: dict[str, str] = Field(default_factory=dict)
    """Versions of torch, transformers and peft that computed it."""
    prompts: tuple[ParityPrompt, ...] = Field(min_length=1)

    @property
    def context_tokens(self) -> int:
        """Tokens of the longest prompt with its continuation."""
        return max(len(prompt.prompt_token_ids) + len(prompt.positions) for prompt in self.prompts)


def read_parity(folder: Path) -> ParityReference | None:
    """The reference in an artifact's folder; None when it has none. Raises IntegrityError on an unreadable one."""
    path = folder / PARITY_FILE
    try:
        return ParityReference.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise IntegrityError(
            f"{path} is not a parity reference that this version reads",
            why=str(error.errors()[0]["msg"]),
            next_step="Run `freehold store verify`, or train the adapter again.",
        ) from error
