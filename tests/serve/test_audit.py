"""Every administrative act leaves one line, and one that could not leave it is not done."""

import fcntl
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from freehold.core.errors import EngineError, FreeholdError, IntegrityError, NotFoundError, UserError
from freehold.core.settings import load_settings
from freehold.serve.audit import AuditLog, AuditUnavailable, command_line_actor
from freehold.serve.audit_reading import parse_since
from freehold.serve.cli.audit import app

WHO = {"actor": "key_1", "target": "key_2"}


@pytest.fixture
def audit(tmp_path: Path) -> AuditLog:
    return AuditLog(tmp_path / "audit" / "audit.jsonl")


def _lines(audit: AuditLog) -> list[dict[str, Any]]:
    return [json.loads(line) for line in audit.path.read_text().splitlines()]


def test_a_record_says_who_did_what_to_what_and_when(audit: AuditLog) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    audit.record("keys.create", **WHO, origin="10.0.0.9", details={"team": "search", "models": ["a", "b"]})
    [record] = _lines(audit)
    assert before <= datetime.fromisoformat(record["time"]) <= datetime.now(UTC)
    assert len(record.pop("time")) == len("2026-11-01T09:30:00.123Z")
    assert record == {
        "act": "keys.create",
        "actor": "key_1",
        "target": "key_2",
        "outcome": "done",
        "origin": "10.0.0.9",
        "details": {"team": "search", "models": ["a", "b"]},
    }


def test_only_its_owner_reads_it(audit: AuditLog) -> None:
    audit.record("keys.create", **WHO)
    assert stat.S_IMODE(audit.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(audit.path.parent.stat().st_mode) == 0o700


def test_secrets_are_replaced_however_deep_they_stand(audit: AuditLog) -> None:
    secret = "correct-horse"
    details = {
        "key": secret,
        "apiKey": secret,
        "client-secret": secret,
        "upstream": {"headers": [{"Authorization": secret}], "password": secret, "access_token": secret},
        "note": f"it was fh-{secret}-battery",
        "url": f"postgresql://freehold:{secret}@db/gateway",
        "path": Path(f"/x?token={secret}"),
    }
    audit.record("keys.create", actor=f"Bearer {secret}", target=f"sk-{secret}", details=details)
    assert secret not in audit.path.read_text()
    assert _lines(audit)[0]["details"]["url"] == "postgresql://[redacted]@db/gateway"


def test_what_an_auditor_asks_for_is_not_replaced(audit: AuditLog) -> None:
    details = {"key_id": "k1", "tokens_per_minute": 10, "token": None, "fingerprint": "fh-0123456789abcdef", "ok": True}
    audit.record("keys.create", **WHO, details=details)
    assert _lines(audit)[0]["details"] == details


def test_an_act_is_recorded_once_it_is_done_with_what_it_found_out(audit: AuditLog) -> None:
    with audit.act("keys.create", **WHO, details={"name": "search"}) as details:
        assert audit.path.read_text() == ""
        details["id"] = "key_3"
    [record] = _lines(audit)
    assert (record["outcome"], record["details"]) == ("done", {"name": "search", "id": "key_3"})


@pytest.mark.parametrize(
    ("error", "outcome", "said"),
    [
        (UserError("no such team"), "refused", "invalid_request"),
        (EngineError("gone"), "failed", "engine_error"),
        (KeyError("correct-horse"), "failed", "KeyError"),
        (KeyboardInterrupt(), "failed", "KeyboardInterrupt"),
    ],
)
def test_an_act_that_raises_is_recorded_and_raises(
    error: BaseException, outcome: str, said: str, audit: AuditLog
) -> None:
    with pytest.raises(type(error)), audit.act("keys.revoke", **WHO):
        raise error
    [record] = _lines(audit)
    assert (record["outcome"], record["details"]) == (outcome, {"error": said})


def _file_for_a_folder(audit: AuditLog, _: pytest.MonkeyPatch) -> None:
    audit.path.parent.write_text("")


def _full_disk(_: AuditLog, patch: pytest.MonkeyPatch) -> None:
    real = os.fstatvfs

    def full(descriptor: int) -> os.statvfs_result:
        return os.statvfs_result([0 if at == 4 else value for at, value in enumerate(real(descriptor))])

    patch.setattr(os, "fstatvfs", full)


@pytest.mark.parametrize("obstacle", [_file_for_a_folder, _full_disk])
def test_an_act_that_cannot_be_logged_is_not_done(
    obstacle: Callable[[AuditLog, pytest.MonkeyPatch], None], audit: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    obstacle(audit, monkeypatch)
    done = []
    with pytest.raises(AuditUnavailable) as refusal, audit.act("keys.create", **WHO):
        done.append("it")
    assert done == []
    assert (refusal.value.http_status, refusal.value.code) == (503, "audit_unavailable")
    assert str(audit.path) in str(refusal.value)


def test_a_record_that_no_disk_takes_is_an_error() -> None:
    with pytest.raises(AuditUnavailable, match="No space left"):
        AuditLog(Path("/dev/full")).record("keys.create", **WHO)


def test_a_torn_line_costs_itself_alone(audit: AuditLog) -> None:
    audit.record("keys.create", **WHO)
    with audit.path.open("ab") as stream:
        stream.write(b'{"time": "2026-')
    audit.record("keys.revoke", **WHO)
    first, torn, last = audit.path.read_text().splitlines()
    assert torn == '{"time": "2026-'
    assert [json.loads(line)["act"] for line in (first, last)] == ["keys.create", "keys.revoke"]


def test_a_rotated_file_is_left_and_a_new_one_begun(audit: AuditLog) -> None:
    audit.record("keys.create", **WHO)
    rotated = audit.path.rename(audit.path.with_suffix(".jsonl.1"))
    audit.record("keys.revoke", **WHO)
    assert [line["act"] for line in _lines(audit)] == ["keys.revoke"]
    assert rotated.read_text().count("\n") == 1


def test_a_line_that_another_process_is_in_the_middle_of_is_not_taken_for_torn(audit: AuditLog) -> None:
    audit.record("keys.create", **WHO)
    line = audit.path.read_bytes()
    with audit.path.open("ab", buffering=0) as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        other.write(line[:20])
        recording = threading.Thread(target=audit.record, args=("keys.revoke",), kwargs=WHO)
        recording.start()
        recording.join(0.2)
        assert recording.is_alive()
        other.write(line[20:])
    recording.join(30)
    assert [record["act"] for record in _lines(audit)] == ["keys.create", "keys.create", "keys.revoke"]


WRITER = """
import sys
from pathlib import Path
from freehold.serve.audit import AuditLog

for number in range(50):
    details = {"pad": "x" * 3000}
    AuditLog(Path(sys.argv[1])).record("keys.create", actor=sys.argv[2], target=str(number), details=details)
"""


def test_processes_do_not_write_into_each_others_lines(audit: AuditLog) -> None:
    command = (sys.executable, "-c", WRITER, str(audit.path))
    writers = [subprocess.Popen([*command, f"key_{writer}"]) for writer in range(3)]
    assert [process.wait(60) for process in writers] == [0, 0, 0]
    seen = {(record["actor"], record["target"]) for record in _lines(audit)}
    assert seen == {(f"key_{writer}", str(number)) for writer in range(3) for number in range(50)}


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("36h", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2w", datetime(2026, 10, 19, 12, tzinfo=UTC)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T09:30:00Z", datetime(2026, 11, 1, 9, 30, tzinfo=UTC)),
        ("2026-11-01T09:30:00+02:00", datetime(2026, 11, 1, 7, 30, tzinfo=UTC)),
    ],
)
def test_since_is_a_span_or_a_time(text: str, moment: datetime) -> None:
    assert parse_since(text, datetime(2026, 11, 2, 12, tzinfo=UTC)) == moment


@pytest.mark.parametrize("text", ["yesterday", "7", "7y", "", "99999999999w"])
def test_since_that_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="is no time"):
        parse_since(text, datetime.now(UTC))


LOGGED = [
    ("2026-11-01T08:00:00.000Z", "keys.create", "cli:root"),
    ("2026-11-02T08:00:00.000Z", "keys.revoke", "env"),
    ("2026-11-03T08:00:00.000Z", "keysets.create", "env"),
]


@pytest.fixture
def logged() -> Path:
    path = load_settings().audit_log
    path.parent.mkdir(parents=True)
    rest = {"target": "key_2", "outcome": "done", "origin": "local", "details": {}}
    records = [{"time": time, "act": act, "actor": actor, **rest} for time, act, actor in LOGGED]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def _list(*arguments: str) -> tuple[str, BaseException | None]:
    ended = CliRunner().invoke(app, ["list", *arguments])
    return ended.stdout, ended.exception if isinstance(ended.exception, FreeholdError) else None


@pytest.mark.parametrize(
    ("arguments", "days"),
    [
        ([], [1, 2, 3]),
        (["--since", "2026-11-02"], [2, 3]),
        (["--act", "keys"], [1, 2]),
        (["--act", "keys.revoke"], [2]),
        (["--act", "key"], []),
        (["--actor", "env", "--since", "2026-11-02T08:00:00.001Z"], [3]),
        (["--actor", "root"], []),
    ],
)
def test_acts_are_listed_by_time_act_and_actor(arguments: list[str], days: list[int], logged: Path) -> None:
    printed, error = _list(*arguments, "--format", "json")
    assert error is None
    assert [int(record["time"][8:10]) for record in json.loads(printed)] == days


def test_acts_are_listed_as_a_table(logged: Path) -> None:
    printed, _ = _list("--actor", "cli:root")
    header, row = printed.splitlines()
    assert header.split() == ["TIME", "ACT", "ACTOR", "TARGET", "OUTCOME", "ORIGIN"]
    assert row.split() == [*LOGGED[0], "key_2", "done", "local"]


@pytest.mark.parametrize("bad", ['{"torn', "[]", '{"time": "2026-11-04"}', "\udcff"])
def test_a_line_that_is_no_record_is_told_and_hides_no_other(bad: str, logged: Path) -> None:
    text = logged.read_text().replace("\n", f"\n{bad}\n\n", 1)
    logged.write_bytes(text.encode(errors="surrogateescape"))
    printed, error = _list("--format", "json")
    assert len(json.loads(printed)) == 3
    assert isinstance(error, IntegrityError)
    assert "line 2:" in str(error)


def test_a_rotated_log_is_listed_by_its_name(logged: Path) -> None:
    rotated = logged.rename(logged.with_name("audit.jsonl.1"))
    assert isinstance(_list()[1], NotFoundError)
    printed, error = _list("--file", str(rotated), "--format", "json")
    assert (len(json.loads(printed)), error) == (3, None)


def test_the_command_line_acts_as_the_systems_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    assert command_line_actor() == "cli:ada"
