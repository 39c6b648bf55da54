"""A gateway as `freehold batch` speaks to it: OpenAI's client, with errors of ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from freehold.core.errors import (
    AccessDeniedError,
    FreeholdError,
    NotFoundError,
    OfflineError,
    RemoteError,
    UserError,
)
from freehold.serve.loopback import is_loopback

if TYPE_CHECKING:
    import openai
    from openai.types import Batch

NO_KEY = "none"
"""Sent where no key is given: a gateway that asks for none does not look at it."""


class Unreachable(RemoteError):
    """The gateway does not answer, or not now: trying again may help."""


class RemoteBatches:
    """Batches at one gateway. Methods raise RemoteError (Unreachable among them), NotFoundError and UserError."""

    def __init__(self, url: str, key: str | None, *, offline: bool = False) -> None:
        """`url` ends with `/v1`. Raises OfflineError for one that is not on this machine where `offline`."""
        import openai

        self.url = url.rstrip("/")
        if offline and not is_loopback(self.url):
            raise OfflineError(f"{self.url} is not on this machine", why="--offline allows no socket but loopback")
        self._client: openai.OpenAI = openai.OpenAI(base_url=self.url, api_key=key or NO_KEY)

    def close(self) -> None:
        self._client.close()

    def upload(self, path: Path) -> str:
        """Id of the file."""
        with self._told(), path.open("rb") as stream:
            return self._client.files.create(file=(path.name, stream), purpose="batch").id

    def create(self, file_id: str, endpoint: str, metadata: dict[str, str]) -> "Batch":
        with self._told():
            # Asked again, a request whose answer was lost would make a second batch.
            return self._client.with_options(max_retries=0).batches.create(
                input_file_id=file_id,
                endpoint=endpoint,  # type: ignore[arg-type]  # the gateway says which there are
                completion_window="24h",
                metadata=metadata,
            )

    def get(self, batch_id: str) -> "Batch":
        with self._told():
            return self._client.batches.retrieve(batch_id)

    def cancel(self, batch_id: str) -> "Batch":
        with self._told():
            return self._client.batches.cancel(batch_id)

    def all(self, most: int) -> "list[Batch]":
        """The newest ones."""
        found: list[Batch] = []
        with self._told():
            for batch in self._client.batches.list(limit=min(most, 100)):
                if len(found) == most:
                    break
                found.append(batch)
        return found

    def download(self, file_id: str, path: Path) -> None:
        """Write the file's bytes; what breaks off leaves nothing at `path`."""
        part = path.with_name(f"{path.name}.part")
        with self._told(), self._client.files.with_streaming_response.content(file_id) as response:
            response.stream_to_file(part)
        part.replace(path)

    @contextmanager
    def _told(self) -> Iterator[None]:
        import openai

        try:
            yield
        except openai.APIConnectionError as error:
            why = str(error.__cause__ or error)
            raise Unreachable(
                f"The gateway at {self.url} does not answer", why=why, next_step="Check --url."
            ) from error
        except openai.APIStatusError as error:
            raise _error_of(error) from error


def _error_of(error: "openai.APIStatusError") -> FreeholdError:
    body = error.body if isinstance(error.body, dict) else {}
    what = str(body.get("message") or error.message)
    if error.status_code == 401:
        return AccessDeniedError(what, next_step="Set FREEHOLD_API_KEY to a key of this gateway.")
    if error.status_code == 404:
        return NotFoundError(what)
    if error.status_code == 429 or error.status_code >= 500:
        return Unreachable(what)
    return AccessDeniedError(what) if error.status_code == 403 else UserError(what)
