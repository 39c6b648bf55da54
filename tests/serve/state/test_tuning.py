"""Jobs and files in the database: who may work on what, and for how long; once for each kind of database."""

import threading

import pytest
from sqlalchemy import update

from freehold.core.errors import NotFoundError
from freehold.serve.state.database import Database
from freehold.serve.state.files import (
    StorageFull,
    StorageQuota,
    complete_file,
    forget_spent_files,
    get_file,
    list_files,
    reserve_file,
)
from freehold.serve.state.key_fields import NewKey
from freehold.serve.state.keys import KeyStore, grant_model
from freehold.serve.state.tables import FileRow, JobRow
from freehold.serve.state.tuning import (
    Happening,
    NewJob,
    cancel_job,
    create_job,
    get_job,
    list_events,
    list_jobs,
    new_job_id,
)
from freehold.serve.state.tuning_work import Stage, keep_job, let_go, move_job, note_checkpoint, take_job

LONG_S = 1000.0
AMPLE = StorageQuota(10**9, 10**9)


def make(database: Database, space: str = "team:a", **request: object) -> str:
    new = NewJob(
        id=new_job_id(),
        space=space,
        key_id="key",
        team="a",
        model="tiny",
        tuned_model="ft:tiny",
        training_file="file-1",
        validation_file=None,
        request={"metadata": None, **request},
    )
    return database.call(lambda connection: create_job(connection, new, 100)).id


def take(database: Database, runner: str = "one", stage: Stage = "check", lease_s: float = LONG_S) -> str | None:
    job = database.call(lambda connection: take_job(connection, runner, stage, lease_s))
    return job and job.id


def move(database: Database, job: str, status: str, runner: str = "one") -> bool:
    return database.call(lambda connection: move_job(connection, job, runner, status, []))  # type: ignore[arg-type]


def test_a_job_goes_through_its_stages_in_turn(database: Database) -> None:
    first, second = make(database), make(database)
    assert take(database, stage="train") is None, "nothing is checked yet"
    assert [take(database), take(database), take(database)] == [first, second, None]
    assert move(database, second, "queued") and move(database, first, "queued")
    assert take(database, stage="train") == first, "the older one first, whichever was checked sooner"
    assert database.call(lambda connection: get_job(connection, first, None)).status == "running"
    assert move(database, first, "succeeded")
    done = database.call(lambda connection: get_job(connection, first, None))
    assert done.is_over and done.finished_at is not None and done.attempts == 1


def test_a_lease_that_ran_out_is_taken_over_and_its_old_holder_is_told(database: Database) -> None:
    job, waiting = make(database), make(database)
    for each in (job, waiting):
        assert take(database) == each and move(database, each, "queued")
    assert take(database, "dead", "train", lease_s=-1) == job
    assert take(database, "alive", "train") == job, "before the one that waits"
    assert database.call(lambda connection: keep_job(connection, job, "dead", LONG_S, 1.0)) is None
    assert not move(database, job, "succeeded", "dead")
    kept = database.call(lambda connection: keep_job(connection, job, "alive", LONG_S, 1.0))
    assert kept is not None and kept.attempts == 2


def test_a_job_that_was_let_go_is_taken_at_once_and_counts_no_attempt(database: Database) -> None:
    job = make(database)
    take(database), move(database, job, "queued"), take(database, stage="train")
    database.call(lambda connection: let_go(connection, job, "one"))
    assert take(database, "two", "train") == job
    assert database.call(lambda connection: get_job(connection, job, None)).attempts == 1


def test_a_cancelled_job_is_nobodys(database: Database) -> None:
    job = make(database)
    take(database)
    database.call(lambda connection: cancel_job(connection, job, "team:a"))
    assert database.call(lambda connection: keep_job(connection, job, "one", LONG_S, 0.0)) is None
    assert not move(database, job, "queued")
    assert take(database) is None


@pytest.mark.usefixtures("patience")
def test_runners_share_a_queue_without_taking_a_job_twice(database: Database) -> None:
    jobs = {make(database) for _ in range(12)}
    taken: list[str] = []

    def work(runner: str) -> None:
        while job := take(database, runner):
            taken.append(job)

    threads = [threading.Thread(target=work, args=(f"runner-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(jobs)


def test_events_are_numbered_in_their_order_whoever_tells_them(database: Database) -> None:
    job = make(database)
    take(database)
    told = [Happening(f"step {number}", data={"step": number}) for number in range(3)]
    database.call(lambda connection: keep_job(connection, job, "one", LONG_S, 0.0, told))
    database.call(lambda connection: cancel_job(connection, job, None))
    events = database.call(lambda connection: list_events(connection, job))
    assert [event.number for event in events] == [5, 4, 3, 2, 1]
    assert [event.data for event in events[1:4]] == [{"step": 2}, {"step": 1}, {"step": 0}]
    page = database.call(lambda connection: list_events(connection, job, before=4, limit=2))
    assert [event.number for event in page] == [3, 2]


def test_a_checkpoint_from_before_a_restart_stays(database: Database) -> None:
    job = make(database)
    for loss in (1.0, 2.0):
        database.call(lambda connection, loss=loss: note_checkpoint(connection, job, 2, {"train_loss": loss}))
    from freehold.serve.state.tuning import list_checkpoints

    (found,) = database.call(lambda connection: list_checkpoints(connection, job))
    assert found.metrics == {"train_loss": 1.0}


def test_jobs_are_found_by_their_metadata(database: Database) -> None:
    ours = make(database, metadata={"ticket": "1", "odd \"name'": "x"})
    make(database, metadata={"ticket": "2"}), make(database), make(database, "team:b", metadata={"ticket": "1"})
    found = database.call(lambda connection: list_jobs(connection, "team:a", metadata={"ticket": "1"}))
    assert [job.id for job in found] == [ours]


@pytest.mark.usefixtures("patience")
def test_room_is_given_once(database: Database) -> None:
    quota = StorageQuota(1000, 1500)
    given: list[str] = []
    refused: list[str] = []

    def ask(space: str) -> None:
        try:
            given.append(database.call(lambda connection: reserve_file(connection, space, "key", 300, quota)))
        except StorageFull as error:
            refused.append(error.why)

    threads = [threading.Thread(target=ask, args=(f"team:{number % 2}",)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(given), len(refused)) == (5, 7)


def _file(database: Database, lifetime_s: float | None = None) -> str:
    file_id = database.call(lambda connection: reserve_file(connection, "team:a", "key", 10, AMPLE))
    database.call(
        lambda connection: complete_file(
            connection,
            file_id,
            filename="a.jsonl",
            purpose="fine-tune",
            size_bytes=7,
            sha256="0" * 64,
            kind="conversation",
            lifetime_s=lifetime_s,
        )
    )
    return file_id


def test_a_file_is_nobodys_before_it_is_whole_and_after_it_has_expired(database: Database) -> None:
    torn = database.call(lambda connection: reserve_file(connection, "team:a", "key", 10, AMPLE))
    whole, expiring = _file(database), _file(database, 3600.0)
    with database.transaction() as connection:
        connection.execute(update(FileRow).where(FileRow.id == expiring).values(expires_at=1.0))
    assert [file.id for file in database.call(lambda connection: list_files(connection, "team:a"))] == [whole]
    for file_id in (torn, expiring):
        with pytest.raises(NotFoundError):
            database.call(lambda connection, file_id=file_id: get_file(connection, file_id, None))
    assert database.call(forget_spent_files) == [expiring], "an upload has a day"


def test_what_a_job_needs_does_not_expire_before_it_is_over(database: Database) -> None:
    expiring, job = _file(database, 3600.0), make(database)
    with database.transaction() as connection:
        connection.execute(update(FileRow).where(FileRow.id == expiring).values(expires_at=1.0))
        connection.execute(update(JobRow).where(JobRow.id == job).values(training_file=expiring))
    assert database.call(forget_spent_files) == []
    database.call(lambda connection: cancel_job(connection, job, None))
    assert database.call(forget_spent_files) == [expiring]


@pytest.mark.parametrize(
    ("scope", "models"),
    [
        ({}, None),
        ({"models": ["tiny"]}, ["tiny", "ft:x"]),
        ({"models": ["ft:x"]}, ["ft:x"]),
        ({"routes": ["chat"]}, ["ft:x"]),
    ],
)
def test_a_key_may_name_what_it_has_made(
    database: Database, scope: dict[str, list[str]], models: list[str] | None
) -> None:
    keys = KeyStore(database)
    record, _ = keys.create(NewKey(name="test", **scope))
    before = keys.changed_since(0)[1]
    database.call(lambda connection: grant_model(connection, record.id, "ft:x"))
    assert keys.get(record.id).models == models
    assert (record.id in {state.id for state in keys.changed_since(before)[0]}) == (
        models not in (None, ["ft:x"]) or "routes" in scope
    )
    database.call(lambda connection: grant_model(connection, "env", "ft:x"))
