"""`/v1/files`."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import FileResponse
from sqlalchemy import Connection

from freehold.core.errors import IntegrityError
from freehold.serve.admin.queries import named_once
from freehold.serve.files.objects import DeletedFile, FileList, FileObject, shown
from freehold.serve.files.purposes import shown_to
from freehold.serve.files.storage import FileStorage
from freehold.serve.files.uploading import Uploads
from freehold.serve.state.database import Database
from freehold.serve.state.files import FileRecord, delete_file, get_file, list_files
from freehold.serve.tuning.spaces import Space, Spaces

MAX_PAGE = 10_000


def files_router(database: Database, storage: FileStorage, uploads: Uploads, whose: Spaces) -> APIRouter:
    """Upload, list, show, read and delete; each within the caller's space."""
    router = APIRouter(prefix="/v1/files", tags=["files"], dependencies=[Depends(named_once())])
    Caller = Annotated[Space, Depends(whose)]  # noqa: N806

    @router.post("")
    async def create_file(request: Request, caller: Caller) -> FileObject:
        headers = request.headers
        kind, length = headers.get("content-type", ""), headers.get("content-length", "")
        return shown(await uploads.take(caller, kind, length, request.stream()))

    # Plain functions run on a thread, where the database may block.
    @router.get("")
    def list_all_files(
        caller: Caller,
        purpose: Annotated[Literal["fine-tune", "fine-tune-results", "batch", "batch_output"] | None, Query()] = None,
        after: Annotated[str | None, Query(description="Id of the last file of the page before.")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = MAX_PAGE,
        order: Literal["asc", "desc"] = "desc",
    ) -> FileList:
        records = database.call(
            lambda connection: list_files(
                connection,
                caller.visible,
                purpose=purpose,
                among=shown_to(caller),
                after=after,
                order=order,
                limit=limit + 1,
            )
        )
        data = [shown(record) for record in records[:limit]]
        first, last = (data[0].id, data[-1].id) if data else (None, None)
        return FileList(data=data, first_id=first, last_id=last, has_more=len(records) > limit)

    @router.get("/{file_id}")
    def show_file(file_id: str, caller: Caller) -> FileObject:
        return shown(database.call(lambda connection: _found(connection, file_id, caller)))

    @router.get("/{file_id}/content")
    def read_file(file_id: str, caller: Caller) -> FileResponse:
        record = database.call(lambda connection: _found(connection, file_id, caller))
        path = storage.path(record)
        if not path.is_file():
            raise IntegrityError(f"The bytes of {file_id} are gone", why="the data folder does not hold them")
        return FileResponse(path, media_type="application/octet-stream")

    @router.delete("/{file_id}")
    def remove_file(file_id: str, caller: Caller) -> DeletedFile:
        def delete(connection: Connection) -> FileRecord:
            return delete_file(connection, _found(connection, file_id, caller).id, caller.visible)

        record = database.call(delete)
        storage.remove(record.id)
        return DeletedFile(id=record.id)

    return router


def _found(connection: Connection, file_id: str, caller: Space) -> FileRecord:
    """The file. Raises NotFoundError, also for what the caller may not see."""
    return get_file(connection, file_id, caller.visible, among=shown_to(caller))
