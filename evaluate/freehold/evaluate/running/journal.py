"""Every request of a run: what may be spent is written before it is sent, what came of it after.

A process that is killed loses no answer that arrived; a request that it had sent counts as it was estimated, since
nobody knows whether it was answered into nothing.
"""

from pathlib import Path
from types import TracebackType
from typing import Any

from freehold.evaluate.running.cache import content_key
from freehold.evaluate.running.lines import LineFile, read_lines
from freehold.evaluate.targets.amounts import Amount
from freehold.evaluate.targets.reply import Reply


def exchange_key(name: str, path: str, body: dict[str, Any], sample: int) -> str:
    """What an exchange is called in a run: by who is asked and what, but not where, which may change."""
    return content_key(name, path, body, sample)


class Journal:
    """`journal.jsonl`: appended to by one process, read when a run is resumed."""

    def __init__(self, path: Path) -> None:
        self._replies: dict[str, Reply] = {}
        self._open: dict[int, Amount] = {}
        self._settled = Amount()
        self._next = 0
        for line in read_lines(path):
            self._take(line)
        self._file = LineFile(path)

    @property
    def spent(self) -> Amount:
        """By all requests of all sittings."""
        return sum(self._open.values(), self._settled)

    def reply(self, key: str) -> Reply | None:
        """What came of an exchange; None where it has not ended, or failed."""
        return self._replies.get(key)

    def sent(self, key: str, may_use: Amount) -> int:
        """A request is about to be sent; the number to end it with."""
        number = self._next
        self._write({"event": "sent", "number": number, "key": key, **_amount(may_use)}, durable=False)
        return number

    def ended(self, number: int, used: Amount, *, key: str = "", reply: Reply | None = None, why: str = "") -> None:
        """It has ended, with a reply or with the reason why there is none."""
        line: dict[str, Any] = {"event": "ended", "number": number, **_amount(used)}
        if reply is not None:
            line |= {"key": key, "reply": reply.model_dump(mode="json", exclude_defaults=True)}
        self._write(line | ({"why": why} if why else {}), durable=reply is not None)

    def found(self, key: str, reply: Reply) -> None:
        """It was in the cache, and cost nothing."""
        dumped = reply.model_dump(mode="json", exclude_defaults=True)
        self._write({"event": "found", "key": key, "reply": dumped}, durable=False)

    def _write(self, line: dict[str, Any], *, durable: bool) -> None:
        self._file.append(line, durable=durable)
        self._take(line)

    def _take(self, line: dict[str, Any]) -> None:
        if line["event"] == "sent":
            self._open[line["number"]] = Amount(line["tokens"], line["money"])
            self._next = max(self._next, line["number"] + 1)
        if line["event"] == "ended":
            self._open.pop(line["number"], None)
            self._settled += Amount(line["tokens"], line["money"])
        if "reply" in line:
            reply = Reply.model_validate(line["reply"])
            if reply.outcome != "failed":
                self._replies[line["key"]] = reply

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.__exit__(kind, error, trace)


def _amount(amount: Amount) -> dict[str, Any]:
    return {"tokens": amount.tokens, "money": amount.money}
