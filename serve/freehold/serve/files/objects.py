"""Files as JSON, in OpenAI's shape: https://platform.openai.com/docs/api-reference/files/object"""

from typing import Literal

from pydantic import BaseModel

from freehold.serve.state.files import FileRecord


class FileObject(BaseModel):
    """A file. Times are epoch seconds."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: str
    status: Literal["processed"] = "processed"
    status_details: None = None


class FileList(BaseModel):
    """One page of files."""

    object: Literal["list"] = "list"
    data: list[FileObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class DeletedFile(BaseModel):
    """A file that is no more."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


def shown(record: FileRecord) -> FileObject:
    """The file as clients see it."""
    return FileObject(
        id=record.id,
        bytes=record.size_bytes,
        created_at=int(record.created_at),
        expires_at=None if record.expires_at is None else int(record.expires_at),
        filename=record.filename,
        purpose=record.purpose,
    )
