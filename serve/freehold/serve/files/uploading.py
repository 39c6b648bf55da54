"""A file's way in: room set aside, bytes to the disk as they come, checked, kept."""

import asyncio
import re
from collections.abc import AsyncIterable
from contextlib import suppress

from starlette.requests import ClientDisconnect

from freehold.serve.files.findings import Findings
from freehold.serve.files.form import FILE, StreamedForm
from freehold.serve.files.inspection import Inspector, require_sound
from freehold.serve.files.purposes import TUNING, Rules, shown_to
from freehold.serve.files.storage import FileStorage, Incoming
from freehold.serve.gateway.errors import NotAllowed, RequestError
from freehold.serve.state.database import Database, DatabaseUnavailable
from freehold.serve.state.files import FileRecord, complete_file, forget_file, reserve_file
from freehold.serve.tuning.spaces import Space

BLOCK_BYTES = 1024 * 1024
"""Written at a time, by a thread; as much again may be waiting."""
FORM_BYTES = 64 * 1024
"""Allowance for what is in the body beside the file."""
MAX_FILENAME = 255
_ANCHOR, _SECONDS = "expires_after[anchor]", "expires_after[seconds]"
_LIFETIMES_S = (3600, 30 * 86_400)
"""OpenAI's bounds of `expires_after.seconds`."""


class Uploads:
    """Takes files in, within what `rules` allow."""

    def __init__(self, database: Database, storage: FileStorage, rules: Rules) -> None:
        self._database = database
        self._storage = storage
        self._rules = rules
        self._most_bytes = rules.most_bytes()
        self._quota = rules.quota
        self._inspector = Inspector()

    async def take(self, space: Space, content_type: str, declared: str, body: AsyncIterable[bytes]) -> FileRecord:
        """The file of this form, checked and kept. `declared` is its content-length, if there is one.

        Raises RequestError for a form or file that is not right, and StorageFull.
        """
        wanted = self._room_for(declared)
        file_id = await self._database.run(
            lambda connection: reserve_file(connection, space.name, space.key_id, wanted, self._quota)
        )
        incoming = None
        try:
            incoming = await asyncio.to_thread(self._storage.receive, file_id)
            form = await self._receive(incoming, content_type, body)
            purpose = self._check_fields(form.fields, space)
            if incoming.size_bytes > self._rules.most_bytes(purpose):
                raise self._too_large(f"it has {incoming.size_bytes} bytes", purpose)
            filename = _name(form.filename or "")
            lifetime_s = _lifetime(form.fields) or self._rules.lifetime_s(purpose)
            sha256 = await asyncio.to_thread(incoming.close)
            findings = Findings()
            if purpose == TUNING:
                findings = await self._inspector.inspect(incoming.path)
                require_sound(findings)
            return await self._keep(incoming, file_id, filename, purpose, sha256, findings, lifetime_s)
        except BaseException:
            await asyncio.shield(self._give_up(file_id, incoming))
            raise

    def _room_for(self, declared: str) -> int:
        """The most that the file can take. Raises RequestError for more than a file may."""
        size = int(declared) if declared.isascii() and declared.isdigit() else self._most_bytes
        if size > self._most_bytes + FORM_BYTES:
            raise self._too_large(f"content-length says {size} bytes")
        return min(size, self._most_bytes)

    async def _receive(self, incoming: Incoming, content_type: str, body: AsyncIterable[bytes]) -> StreamedForm:
        waiting = bytearray()
        form = StreamedForm(content_type, waiting.extend)
        try:
            async for data in body:
                form.write(data)
                if len(waiting) >= BLOCK_BYTES:
                    await self._write(incoming, waiting)
        except ClientDisconnect as error:
            raise RequestError("The upload broke off", why="the client left", code="torn_upload", param=FILE) from error
        form.end()
        await self._write(incoming, waiting)
        return form

    async def _write(self, incoming: Incoming, waiting: bytearray) -> None:
        if incoming.size_bytes + len(waiting) > self._most_bytes:
            raise self._too_large(f"more than {self._most_bytes} bytes arrived")
        await asyncio.to_thread(incoming.write, bytes(waiting))
        waiting.clear()

    def _too_large(self, why: str, purpose: str | None = None) -> RequestError:
        return RequestError(
            "The file is too large",
            why=why,
            next_step=f"The limit is {self._rules.most_bytes(purpose)} bytes ({self._rules.limit_name(purpose)}).",
            code="file_too_large",
            param=FILE,
        )

    async def _keep(
        self,
        incoming: Incoming,
        file_id: str,
        filename: str,
        purpose: str,
        sha256: str,
        findings: Findings,
        lifetime_s: float | None,
    ) -> FileRecord:
        # Bytes before the row: what has a row can be read.
        await asyncio.to_thread(self._storage.keep, incoming, file_id, purpose)
        return await self._database.run(
            lambda connection: complete_file(
                connection,
                file_id,
                filename=filename,
                purpose=purpose,
                size_bytes=incoming.size_bytes,
                sha256=sha256,
                kind=findings.kind,
                lifetime_s=lifetime_s,
            )
        )

    def _check_fields(self, fields: dict[str, str], space: Space) -> str:
        """The purpose. Raises RequestError, and NotAllowed where the key may not upload for it."""
        known = ("purpose", _ANCHOR, _SECONDS)
        for name in fields:
            if name not in known:
                raise RequestError(
                    f"Unknown field '{name[:64]}'",
                    why=f"known are {FILE}, {', '.join(known)}",
                    code="unknown_parameter",
                    param=name[:64],
                )
        purpose, served = fields.get("purpose"), self._rules.purposes
        if purpose is None or purpose not in served:
            why = "it is missing" if purpose is None else f"'{purpose[:64]}' is not served here"
            next_step = f"Send {' or '.join(f'`{name}`' for name in served)}."
            raise RequestError(
                "The purpose is not right", why=why, next_step=next_step, code="invalid_purpose", param="purpose"
            )
        shown = shown_to(space)
        if shown is not None and purpose not in shown:
            raise NotAllowed(
                f"{space.key_id} may not fine-tune",
                why="training data takes a key that may",
                next_step=f"An administrator runs `freehold keys update {space.key_id} --may-tune`.",
                code="tuning_not_allowed",
            )
        return purpose

    async def _give_up(self, file_id: str, incoming: Incoming | None) -> None:
        """Leave nothing behind; what the database does not hear of is swept later."""
        if incoming is not None:
            await asyncio.to_thread(incoming.drop)
        await asyncio.to_thread(self._storage.remove, file_id)
        with suppress(DatabaseUnavailable):
            await self._database.run(lambda connection: forget_file(connection, file_id))


def _name(given: str) -> str:
    """What the file is called; never a path of ours."""
    name = re.sub(r"[\x00-\x1f\x7f\ufffd]", "", given.replace("\\", "/").rpartition("/")[2])
    return name[-MAX_FILENAME:] or "file.jsonl"


def _lifetime(fields: dict[str, str]) -> float | None:
    if _ANCHOR not in fields and _SECONDS not in fields:
        return None
    least, most = _LIFETIMES_S
    seconds = fields.get(_SECONDS, "")
    is_number = seconds.isascii() and seconds.isdigit() and len(seconds) < 10
    if fields.get(_ANCHOR) != "created_at" or not is_number or not least <= int(seconds) <= most:
        raise RequestError(
            "The expiry is not right",
            why=f"it takes the anchor created_at and {least} to {most} seconds",
            code="invalid_expiry",
            param="expires_after",
        )
    return float(seconds)
