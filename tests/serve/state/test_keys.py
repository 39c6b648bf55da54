"""Keys in the database, on both databases: what is stored, what is refused, and that no change is ever missed."""

import hashlib
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select, text

from freehold.core.errors import NotFoundError, UserError
from freehold.serve.state.database import Database, open_database
from freehold.serve.state.key_fields import InvalidKey, KeyChanges, NewKey, parse_duration, parse_expiry, parse_fields
from freehold.serve.state.key_secret import may_be_secret
from freehold.serve.state.keys import KeyRecord, KeyState, KeyStore, read_states
from freehold.serve.state.migrating import migrate
from freehold.serve.state.tables import KeyRow

DAY_S = 86_400


@pytest.fixture
def store(database: Database) -> KeyStore:
    return KeyStore(database)


def row(store: KeyStore, key_id: str) -> Any:
    query = select(KeyRow.__table__).where(KeyRow.id == key_id)
    return store.database.call(lambda connection: connection.execute(query).one())


def test_a_new_key_may_do_nothing_outside_and_has_no_limits(store: KeyStore) -> None:
    record, secret = store.create(NewKey(name="chat"))
    assert re.fullmatch(r"fh-[A-Za-z0-9_-]{43}", secret)
    assert may_be_secret(secret.encode())
    assert re.fullmatch(r"key_[0-9a-f]{12}", record.id)
    assert record.hint == secret[:7]
    assert (record.role, record.label, record.team, record.owner) == ("app", "must-stay", "", "")
    limits = ("requests_per_minute", "tokens_per_minute", "concurrent_requests", "monthly_tokens", "monthly_money")
    assert {getattr(record, name) for name in (*limits, "models", "routes", "expires_at", "revoked_at")} == {None}
    assert abs(record.created_at - time.time()) < 60
    assert store.get(record.id) == record


def test_everything_that_is_said_is_kept(store: KeyStore) -> None:
    new = NewKey.model_validate(
        {
            "name": "  bätch  ",
            "role": "admin",
            "team": "search",
            "owner": "ada@example.com",
            "label": "may-leave",
            "models": ["qwen3-8b", "org/tiny", "qwen3-8b"],
            "routes": ["chat"],
            "requests_per_minute": 60,
            "tokens_per_minute": 10_000,
            "concurrent_requests": 4,
            "monthly_tokens": 5_000_000_000,
            "monthly_money": "12.345678",
            "expires": "90d",
        }
    )
    record, _ = store.create(new)
    assert (record.name, record.role, record.team, record.owner) == ("bätch", "admin", "search", "ada@example.com")
    assert (record.label, record.models, record.routes) == ("may-leave", ["qwen3-8b", "org/tiny"], ["chat"])
    assert (record.requests_per_minute, record.tokens_per_minute, record.concurrent_requests) == (60, 10_000, 4)
    assert (record.monthly_tokens, record.monthly_money) == (5_000_000_000, 12_345_678)
    assert record.expires_at == record.created_at + 90 * DAY_S
    assert store.get(record.id) == record


def test_only_the_hash_of_the_secret_is_stored(database_url: str, tmp_path: Path) -> None:
    database = open_database(database_url)
    migrate(database)
    store = KeyStore(database)
    record, first = store.create(NewKey(name="chat"))
    _, second = store.rotate(record.id, grace_s=60)
    stored = row(store, record.id)
    assert bytes(stored.secret_hash) == hashlib.sha256(second.encode()).digest()
    assert bytes(stored.previous_hash) == hashlib.sha256(first.encode()).digest()
    assert first not in repr(stored)
    assert second not in repr(stored)
    database.close()
    for file in tmp_path.rglob("*"):
        content = file.read_bytes()
        assert first.encode() not in content
        assert second.encode() not in content


@pytest.mark.parametrize(
    ("given", "problems"),
    [
        ({}, ["name: field required"]),
        ({"name": " "}, ["name: string should have at least 1 character"]),
        ({"name": "a\x00b"}, ["name: string should match pattern"]),
        ({"name": "\ud800"}, ["name: "]),
        ({"name": "x", "requests_per_minute": 0, "tokens_per_minute": -1}, ["requests_per_minute: ", "tokens_per"]),
        ({"name": "x", "requests_per_minute": True}, ["requests_per_minute: input should be a valid integer"]),
        ({"name": "x", "monthly_tokens": 10**16}, ["monthly_tokens: input should be less than or equal"]),
        ({"name": "x", "monthly_money": "0.0000001"}, ["monthly_money: decimal input should have no more than 6"]),
        ({"name": "x", "monthly_money": "NaN"}, ["monthly_money: input should be a finite number"]),
        ({"name": "x", "models": []}, ["models: it names nothing"]),
        ({"name": "x", "routes": ["a b"]}, ["routes.0: string should match pattern"]),
        ({"name": "x", "label": "may"}, ["label: input should be 'must-stay' or 'may-leave'"]),
        ({"name": "x", "role": "root"}, ["role: input should be 'app', 'viewer', 'operator' or 'admin'"]),
        ({"name": "x", "budget": 1}, ["budget: unknown field"]),
        ({"name": "x", "expires": "soon"}, ["expires: it is neither a duration like 90d"]),
        ({"name": "x", "expires": "2020-01-01"}, ["expires: it lies in the past"]),
        ({"name": "x", "expires": "0d"}, ["expires: it lies in the past"]),
        ({"name": "x", "expires": "999999999d"}, ["expires: it is no duration"]),
    ],
)
def test_every_wrong_field_is_named(given: dict[str, Any], problems: list[str]) -> None:
    with pytest.raises(InvalidKey) as caught:
        parse_fields(NewKey, given, "The key cannot be created")
    assert len(caught.value.problems) == len(problems)
    assert all(found.startswith(wanted) for found, wanted in zip(caught.value.problems, problems, strict=True))


@pytest.mark.parametrize(
    ("written", "expiry"),
    [
        ("45s", 1000.0 + 45),
        ("30m", 1000.0 + 1800),
        ("12h", 1000.0 + 12 * 3600),
        ("90d", 1000.0 + 90 * DAY_S),
        ("2w", 1000.0 + 14 * DAY_S),
        ("1970-01-02", 1.0 * DAY_S),
        ("1970-01-02T00:00:00+02:00", 22 * 3600.0),
        ("1970-01-02T00:00:01Z", DAY_S + 1.0),
    ],
)
def test_an_expiry_is_a_duration_or_a_date(written: str, expiry: float) -> None:
    assert parse_expiry(written, 1000.0) == expiry


@pytest.mark.parametrize("written", ["", "d", "1.5h", "-1d", "90", "1y", "٣d"])
def test_what_is_no_duration_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(written)


def test_a_change_touches_what_it_names(store: KeyStore) -> None:
    new = NewKey(name="chat", owner="ada", models=("tiny",), requests_per_minute=5, expires="1h")
    record, _ = store.create(new)
    changed = store.update(record.id, KeyChanges(label="may-leave", requests_per_minute=None, monthly_tokens=7))
    assert (changed.label, changed.requests_per_minute, changed.monthly_tokens) == ("may-leave", None, 7)
    assert (changed.owner, changed.models, changed.expires_at) == ("ada", ["tiny"], record.expires_at)
    changed = store.update(record.id, KeyChanges(expires=None, models=None))
    assert (changed.expires_at, changed.models) == (None, None)
    assert store.update(record.id, KeyChanges()) == changed == store.get(record.id)


def test_a_rotation_keeps_the_old_secret_for_its_grace(store: KeyStore) -> None:
    record, _ = store.create(NewKey(name="chat"))
    first = row(store, record.id)
    rotated, secret = store.rotate(record.id, grace_s=3600)
    second = row(store, record.id)
    assert rotated.hint == secret[:7]
    assert second.previous_hash == first.secret_hash != second.secret_hash
    assert second.previous_until == pytest.approx(record.created_at + 3600, abs=60)
    store.rotate(record.id)
    third = row(store, record.id)
    assert third.previous_hash == second.secret_hash
    assert third.previous_until == pytest.approx(record.created_at, abs=60)


@pytest.mark.parametrize("grace_s", [-1, 31 * DAY_S, float("nan")])
def test_a_grace_period_has_bounds(store: KeyStore, grace_s: float) -> None:
    record, _ = store.create(NewKey(name="chat"))
    with pytest.raises(UserError, match="between 0 and"):
        store.rotate(record.id, grace_s)


def test_revoking_twice_is_revoking_once(store: KeyStore) -> None:
    record, _ = store.create(NewKey(name="chat"))
    revoked = store.revoke(record.id)
    assert revoked.status(time.time()) == "revoked"
    assert store.revoke(record.id) == revoked == store.get(record.id)


def test_a_revoked_key_stays_as_it_is(store: KeyStore) -> None:
    record, _ = store.create(NewKey(name="chat"))
    store.revoke(record.id)
    with pytest.raises(UserError, match="cannot be rotated: it was revoked"):
        store.rotate(record.id)
    with pytest.raises(UserError, match="cannot be changed: it was revoked"):
        store.update(record.id, KeyChanges(expires=None))


def test_an_expired_key_gets_no_new_secret_but_a_new_expiry(store: KeyStore) -> None:
    record, _ = store.create(NewKey(name="chat", expires="1h"))
    store.database.call(lambda connection: connection.execute(text("update api_key set expires_at = 1")))
    assert store.get(record.id).status(time.time()) == "expired"
    with pytest.raises(UserError, match="it has expired"):
        store.rotate(record.id)
    store.update(record.id, KeyChanges(expires="1h"))
    assert store.rotate(record.id)[0].status(time.time()) == "active"


@pytest.mark.parametrize("key_id", ["key_000000000000", "", "key_\x00", "x' or 1=1 --"])
@pytest.mark.parametrize(
    "act",
    [
        KeyStore.get,
        KeyStore.revoke,
        KeyStore.rotate,
        lambda store, key_id: store.update(key_id, KeyChanges()),
        lambda store, key_id: store.list(after=key_id),
    ],
)
def test_an_unknown_key_is_not_found(store: KeyStore, act: Callable[[KeyStore, str], object], key_id: str) -> None:
    with pytest.raises(NotFoundError, match="No key"):
        act(store, key_id)


def test_listing_is_by_age_team_and_page(store: KeyStore) -> None:
    store.create_many([NewKey(name=f"batch {number}", team="search") for number in range(3)])
    chat, _ = store.create(NewKey(name="chat", team="support"))
    store.revoke(chat.id)
    everything = store.list(include_revoked=True)
    assert [record.team for record in everything] == ["search", "search", "search", "support"]
    assert store.list() == store.list(team="search") == everything[:3]
    assert store.list(team="support") == store.list(team="nobody") == store.list(team="\x00") == []
    pages: list[KeyRecord] = []
    while page := store.list(include_revoked=True, limit=1, after=pages[-1].id if pages else None):
        pages += page
    assert pages == everything


def test_changes_are_told_once_and_in_full(store: KeyStore) -> None:
    assert store.changed_since(0) == ([], 0)
    first, _ = store.create(NewKey(name="first", role="admin", team="t", owner="o", routes=("chat",)))
    store.create(NewKey(name="second"))
    states, revision = store.changed_since(0)
    assert (len(states), revision) == (2, 2)
    assert store.changed_since(revision) == ([], revision)
    store.update(first.id, KeyChanges(tokens_per_minute=9))
    (state,), latest = store.changed_since(revision)
    assert (state.id, state.role, state.team, state.owner) == (first.id, "admin", "t", "o")
    assert (state.routes, state.models, state.tokens_per_minute, latest) == (["chat"], None, 9, revision + 1)


def test_a_change_that_fails_takes_no_revision(store: KeyStore) -> None:
    record, _ = store.create(NewKey(name="chat"))
    store.revoke(record.id)
    with pytest.raises(UserError):
        store.rotate(record.id)
    assert store.changed_since(0)[1] == 2


class Poller(threading.Thread):
    """Follows the changes as a gateway does, until it is told to stop; then once more."""

    def __init__(self, store: KeyStore) -> None:
        super().__init__()
        self.store = store
        self.stopping = threading.Event()
        self.known: dict[str, KeyState] = {}
        self.revisions = [0]

    def run(self) -> None:
        # SQLite's lock is not fair: who takes it again at once starves the others on a busy machine.
        while not self.stopping.wait(0.001):
            self.look()
        self.look()

    def look(self) -> None:
        states, revision = self.store.changed_since(self.revisions[-1])
        self.known.update({state.id: state for state in states})
        self.revisions.append(revision)


@pytest.mark.slow
@pytest.mark.usefixtures("patience")
def test_no_change_is_missed_while_many_are_made_at_once(store: KeyStore, database_url: str) -> None:
    threads, rounds = 8, 6
    databases = [open_database(database_url) for _ in range(2)]  # two replicas

    def work(mine: KeyStore) -> None:
        for number in range(rounds):
            record, _ = mine.create(NewKey(name=f"key {number}"))
            mine.update(record.id, KeyChanges(monthly_tokens=number + 1))
            mine.revoke(record.id)

    poller = Poller(store)
    poller.start()
    workers = [threading.Thread(target=work, args=(KeyStore(databases[index % 2]),)) for index in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    poller.stopping.set()
    poller.join()
    for database in databases:
        database.close()

    states, revision = store.changed_since(0)
    assert revision == threads * rounds * 3
    assert poller.known == {state.id: state for state in states}
    assert len(states) == threads * rounds
    assert all(state.revoked_at and state.monthly_tokens for state in states)
    assert poller.revisions == sorted(poller.revisions)
    revisions = store.database.call(lambda connection: connection.scalars(select(KeyRow.revision)).all())
    assert len(set(revisions)) == len(revisions), "two changes had the same revision"


def test_a_later_revision_waits_for_an_earlier_one(postgres_url: str) -> None:
    # Without the lock, whoever reads revision 2 before 1 is committed would never see what 1 changed.
    database = open_database(postgres_url)
    migrate(database)
    store = KeyStore(database)
    with database.transaction() as early:
        early.execute(text("update key_revision set value = value + 1"))
        late = threading.Thread(target=store.create, args=(NewKey(name="late"),))
        late.start()
        _until_somebody_waits_for_a_lock(database)
        assert store.changed_since(0) == ([], 0)
    late.join()
    assert store.changed_since(0)[1] == 2
    database.close()


def _until_somebody_waits_for_a_lock(database: Database) -> None:
    def waiting(connection: Connection) -> bool:
        return bool(connection.scalar(text("select count(*) from pg_locks where not granted")))

    while not database.call(waiting):
        time.sleep(0.001)


@pytest.mark.slow
def test_reading_streams_inside_its_transaction(store: KeyStore) -> None:
    store.create_many([NewKey(name=f"key {number}") for number in range(12_000)])

    def count(connection: Connection) -> int:
        return sum(1 for _ in read_states(connection, 0))

    assert store.database.call(count) == 12_000
