"""What a client may ask of a batch, in OpenAI's shape; what cannot be honoured is refused by its name.

https://platform.openai.com/docs/api-reference/batch/create
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

_PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
WINDOW = "24h"
WINDOW_S = 86_400.0

Key = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=_PRINTABLE)]
Text = Annotated[str, StringConstraints(max_length=512, pattern=_PRINTABLE)]
FileId = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=_PRINTABLE)]
EndpointPath = Literal["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Lifetime(_Part):
    """How long result files stay."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Field(strict=True, ge=3600, le=30 * 86_400)]
    """From the file's creation."""


class NewBatchRequest(_Part):
    """A batch to be made."""

    input_file_id: FileId
    """A file of the purpose `batch`: a request per line."""
    endpoint: EndpointPath
    """Of every line."""
    completion_window: Literal["24h"]
    metadata: Annotated[dict[Key, Text], Field(max_length=16)] | None = None
    output_expires_after: Lifetime | None = None
    """None leaves it to the deployment."""
