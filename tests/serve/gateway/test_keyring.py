"""The key ring: what a request's headers prove, how soon a change counts, and what a dead database does not stop."""

import asyncio
import base64
import logging
import stat
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from fixtures.databases import PostgresServer
from sqlalchemy import text

from freehold.core.errors import ConfigError
from freehold.serve.config import GatewayConfig
from freehold.serve.gateway import keyring
from freehold.serve.gateway.errors import KeysUnavailable, Unauthorized, UnknownKey
from freehold.serve.gateway.keyring import POLL_S, KeyRing, admin_key_from
from freehold.serve.gateway.principal import Limits, Principal
from freehold.serve.state.database import Database, DatabaseUnavailable, open_database
from freehold.serve.state.key_fields import KeyChanges, NewKey
from freehold.serve.state.key_secret import new_secret
from freehold.serve.state.keys import KeyStore
from freehold.serve.state.migrating import migrate

Headers = list[tuple[bytes, bytes]]
SOON_S = 0.01


def bearer(secret: str) -> Headers:
    return [(b"host", b"x"), (b"authorization", b"Bearer " + secret.encode())]


@pytest.fixture
def store(database: Database) -> KeyStore:
    return KeyStore(database)


@pytest.fixture
async def rings() -> AsyncIterator[Callable[..., KeyRing]]:
    """Make key rings that are closed at the end."""
    made: list[KeyRing] = []

    def make(*arguments: object, **keywords: object) -> KeyRing:
        ring = KeyRing(*arguments, **keywords)  # type: ignore[arg-type]
        made.append(ring)
        return ring

    yield make
    for ring in made:
        await ring.close()


@pytest.fixture
async def ring(store: KeyStore, rings: Callable[..., KeyRing]) -> KeyRing:
    """A started ring that does not poll by itself."""
    made = rings(store, 3600)
    await made.start()
    return made


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.005)


def is_refused(ring: KeyRing, secret: str, because: str) -> bool:
    try:
        ring.find(bearer(secret))
    except Unauthorized as error:
        return because in str(error)
    return False


# What the headers prove.


async def test_a_key_stands_for_its_principal(store: KeyStore, ring: KeyRing) -> None:
    new = NewKey(
        name="chat",
        role="admin",
        team="search",
        owner="ada",
        label="may-leave",
        models=("tiny",),
        routes=("chat",),
        requests_per_minute=1,
        tokens_per_minute=2,
        concurrent_requests=3,
        monthly_tokens=4,
        monthly_money="0.000005",  # type: ignore[arg-type]
        expires="1h",
    )
    record, secret = store.create(new)
    await ring.refresh()
    assert ring.find(bearer(secret)) == Principal(
        record.id,
        "search",
        "ada",
        is_admin=True,
        may_leave=True,
        models=frozenset(["tiny"]),
        routes=frozenset(["chat"]),
        limits=Limits(1, 2, 3, 4, 5),
        expires_at=record.expires_at,
    )


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", b"Bearer %s")],
        [(b"authorization", b"bEARER   %s ")],
        [(b"x-api-key", b" %s")],
        [(b"x-api-key", b"%s"), (b"authorization", b"Bearer %s")],
        [(b"authorization", b"Bearer %s"), (b"x-api-key", b"")],
        [(b"authorization", b"Basic eDp5"), (b"x-api-key", b"%s")],
    ],
)
async def test_both_headers_bring_a_key(headers: Headers, store: KeyStore, ring: KeyRing) -> None:
    record, secret = store.create(NewKey(name="chat"))
    await ring.refresh()
    sent = [(name, value.replace(b"%s", secret.encode())) for name, value in headers]
    assert ring.find(sent).key_id == record.id


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ([], "No API key was sent"),
        ([(b"authorization", b"")], "No API key was sent"),
        ([(b"authorization", b"Bearer")], "No API key was sent"),
        ([(b"authorization", b"Basic %s")], "No API key was sent"),
        ([(b"x-api-key", b"%s"), (b"authorization", b"Bearer fh-other")], "Two different API keys were sent"),
        ([(b"x-api-key", b"%s"), (b"x-api-key", b"fh-other")], "Two different API keys were sent"),
        ([(b"x-api-key", b"%s,%s")], "This is no API key of this gateway"),
        ([(b"x-api-key", b"sk-proj-123")], "This is no API key of this gateway: those begin with fh-"),
        ([(b"x-api-key", b"\xff\xfe")], "This is no API key of this gateway"),
    ],
)
async def test_what_proves_nothing_is_refused(headers: Headers, message: str, store: KeyStore, ring: KeyRing) -> None:
    _, secret = store.create(NewKey(name="chat"))
    await ring.refresh()
    sent = [(name, value.replace(b"%s", secret.encode())) for name, value in headers]
    with pytest.raises(Unauthorized, match=message) as caught:
        ring.find(sent)
    assert not isinstance(caught.value, UnknownKey)
    assert (caught.value.http_status, caught.value.code) == (401, "invalid_api_key")


async def test_each_way_to_be_invalid_has_its_message_and_never_the_key(store: KeyStore, ring: KeyRing) -> None:
    (revoked, first), (rotated, second) = store.create_many([NewKey(name="a"), NewKey(name="b")])
    store.revoke(revoked.id)
    store.rotate(rotated.id)
    await ring.refresh()
    messages = []
    for secret in (first, second, new_secret().text):
        with pytest.raises(Unauthorized) as caught:
            ring.find(bearer(secret))
        messages.append(caught.value.what)
        told = f"{caught.value} {caught.value.next_step}"
        assert secret[3:10] not in told
    assert messages == ["The API key was revoked", "The API key was replaced", "The API key is not known here"]


async def test_the_admin_key_of_the_environment(store: KeyStore, rings: Callable[..., KeyRing]) -> None:
    ring = rings(store, 3600, admin_key="correct horse battery")
    await ring.start()
    principal = ring.find(bearer("correct horse battery"))
    assert (principal.key_id, principal.is_admin, principal.may_leave) == ("env", True, False)
    with pytest.raises(Unauthorized):
        ring.find(bearer("correct horse batterz"))


def test_the_admin_key_is_set_and_long_enough() -> None:
    assert admin_key_from(GatewayConfig()) is None
    config = GatewayConfig.model_validate({"adminKeyFrom": {"env": "ADMIN"}})
    assert admin_key_from(config, {"ADMIN": " 0123456789abcdef\n"}) == "0123456789abcdef"
    with pytest.raises(ConfigError, match="ADMIN is not set"):
        admin_key_from(config, {})
    with pytest.raises(ConfigError, match="ADMIN is shorter than 16") as caught:
        admin_key_from(config, {"ADMIN": "0123456789abcde"})
    assert "0123" not in str(caught.value)


# Time.


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


async def test_an_expired_key_stays_so_when_the_clock_is_set_back(
    store: KeyStore, rings: Callable[..., KeyRing]
) -> None:
    clock = Clock()
    ring = rings(store, 3600, clock)
    _, secret = store.create(NewKey(name="chat", expires="1h"))
    await ring.start()
    assert ring.find(bearer(secret))
    clock.now += 3700
    assert is_refused(ring, secret, "has expired")
    clock.now -= 3700
    assert is_refused(ring, secret, "has expired")


async def test_a_poll_sees_the_time_even_if_nobody_asks(store: KeyStore, rings: Callable[..., KeyRing]) -> None:
    clock = Clock()
    ring = rings(store, SOON_S, clock)
    _, secret = store.create(NewKey(name="chat", expires="1h"))
    await ring.start()
    clock.now += 3700
    witness, _ = store.create(NewKey(name="witness"))
    await until(lambda: witness.id in ring._table.entries)
    clock.now -= 3700
    assert is_refused(ring, secret, "has expired")


async def test_a_rotated_secret_works_until_its_grace_ends(store: KeyStore, rings: Callable[..., KeyRing]) -> None:
    clock = Clock()
    ring = rings(store, 3600, clock)
    record, old = store.create(NewKey(name="chat"))
    _, new = store.rotate(record.id, grace_s=3600)
    await ring.start()
    assert ring.find(bearer(old)) is ring.find(bearer(new))
    clock.now += 3700
    assert is_refused(ring, old, "was replaced")
    assert ring.find(bearer(new)).key_id == record.id


async def test_a_second_rotation_ends_the_first_secret(store: KeyStore, ring: KeyRing) -> None:
    record, first = store.create(NewKey(name="chat"))
    _, second = store.rotate(record.id, grace_s=3600)
    await ring.refresh()
    _, third = store.rotate(record.id, grace_s=3600)
    await ring.refresh()
    assert is_refused(ring, first, "not known")
    assert ring.find(bearer(second)).key_id == ring.find(bearer(third)).key_id == record.id


# Changes.


async def test_a_revocation_counts_after_one_look_and_is_reported_once(
    store: KeyStore, rings: Callable[..., KeyRing]
) -> None:
    reported: list[set[str]] = []
    ring = rings(store, SOON_S, on_revoked=reported.append)
    (record, secret), (other, kept), (before, _) = store.create_many([NewKey(name=name) for name in "abc"])
    store.revoke(before.id)
    await ring.start()
    assert ring.find(bearer(secret)).key_id == record.id
    store.revoke(record.id)
    await until(lambda: bool(reported))
    assert is_refused(ring, secret, "was revoked")
    store.update(other.id, KeyChanges(label="may-leave"))
    await until(lambda: ring.find(bearer(kept)).may_leave)
    assert reported == [{record.id}]


async def test_a_look_without_changes_reads_no_key(store: KeyStore, ring: KeyRing) -> None:
    _, secret = store.create(NewKey(name="chat"))
    await ring.refresh()
    store.database.call(lambda connection: connection.execute(text("drop table api_key")))
    assert await ring.refresh()
    assert ring.find(bearer(secret))


async def test_a_database_restored_from_a_backup_is_read_anew(store: KeyStore, rings: Callable[..., KeyRing]) -> None:
    reported: list[set[str]] = []
    ring = rings(store, 3600, on_revoked=reported.append)
    (_, kept), (_, lost) = (store.create(NewKey(name=name)) for name in "ab")
    await ring.start()
    gone = ring.find(bearer(lost)).key_id

    def restore(connection):  # type: ignore[no-untyped-def]
        connection.execute(text("delete from api_key where name = 'b'"))
        connection.execute(text("update key_revision set value = 1"))

    store.database.call(restore)
    await ring.refresh()
    assert ring.find(bearer(kept))
    assert is_refused(ring, lost, "not known")
    assert reported == [{gone}]


async def test_equal_limits_are_one_object(store: KeyStore, ring: KeyRing) -> None:
    new = NewKey(name="x", team="t" * 50, models=("a-model", "b-model"), monthly_tokens=10**9)
    secrets = [secret for _, secret in store.create_many([new, new])]
    await ring.refresh()
    first, second = (ring.find(bearer(secret)) for secret in secrets)
    assert first.limits is second.limits
    assert first.models is second.models
    assert first.team is second.team


# Keys of another replica.


async def test_a_key_made_a_moment_ago_elsewhere_works_at_once(store: KeyStore, ring: KeyRing) -> None:
    for _ in range(2):
        record, secret = await asyncio.to_thread(store.create, NewKey(name="chat"))
        assert is_refused(ring, secret, "not known")
        assert (await ring.find_new(bearer(secret))).key_id == record.id


async def test_a_flood_of_wrong_keys_is_no_flood_of_queries(
    store: KeyStore, ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = count_looks(ring, monkeypatch)
    wrong = [bearer(new_secret().text) for _ in range(500)]
    errors = await asyncio.gather(*(ring.find_new(headers) for headers in wrong), return_exceptions=True)
    assert {type(error) for error in errors} == {UnknownKey}
    assert looks == [1]


async def test_what_can_be_no_key_costs_no_query(
    store: KeyStore, ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = count_looks(ring, monkeypatch)
    _, secret = store.create(NewKey(name="chat"))
    for headers in ([], bearer("sk-proj-abc"), bearer(secret + "x"), bearer(secret[:-1])):
        with pytest.raises(Unauthorized):
            await ring.find_new(headers)
    assert looks == [0]


async def test_a_client_that_leaves_does_not_take_the_look_with_it(store: KeyStore, ring: KeyRing) -> None:
    record, secret = store.create(NewKey(name="chat"))
    leaving = asyncio.create_task(ring.find_new(bearer(secret)))
    staying = asyncio.create_task(ring.find_new(bearer(secret)))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying).key_id == record.id


async def test_a_key_widened_a_moment_ago_elsewhere_reaches_further_at_once(store: KeyStore, ring: KeyRing) -> None:
    record, secret = store.create(NewKey(name="chat", models=["one"]))
    assert not (await ring.find_new(bearer(secret))).may_use_model("two")
    await asyncio.to_thread(store.update, record.id, KeyChanges(models=["one", "two"]))
    assert (await ring.find_anew(bearer(secret))).may_use_model("two")
    await asyncio.to_thread(store.update, record.id, KeyChanges(models=["three"]))
    _, replaced = await asyncio.to_thread(store.rotate, record.id, 0.0)
    assert ring.find(bearer(secret)).may_use_model("two"), "nothing has been looked at since"
    with pytest.raises(Unauthorized):  # not what the key may now, since this is not its secret any more
        await ring.find_anew(bearer(secret))
    assert ring.find(bearer(replaced)).may_use_model("three")


async def test_a_flood_of_refusals_is_no_flood_of_queries(
    store: KeyStore, ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, secret = store.create(NewKey(name="chat", models=["one"]))
    narrow = await ring.find_new(bearer(secret))
    looks = count_looks(ring, monkeypatch)
    found = await asyncio.gather(*(ring.find_anew(bearer(secret)) for _ in range(500)))
    assert all(one is narrow for one in found)
    assert looks == [1]


def count_looks(ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    count = [0]
    look = ring._look

    async def counted() -> None:
        count[0] += 1
        await look()

    monkeypatch.setattr(ring, "_look", counted)
    return count


# A dead database.


@pytest.fixture
def dying(postgres_server: PostgresServer, postgres_url: str) -> Iterator[tuple[PostgresServer, KeyStore]]:
    """A server that the test may stop, and a store in it."""
    database = open_database(postgres_url)
    migrate(database)
    stopped = False

    class Stopping:
        def stop(self) -> None:
            nonlocal stopped
            postgres_server.stop()
            stopped = True

        def start(self) -> None:
            nonlocal stopped
            postgres_server.start()
            stopped = False

    yield Stopping(), KeyStore(database)  # type: ignore[misc]
    if stopped:
        postgres_server.start()
    database.close()


@pytest.mark.slow
async def test_known_keys_outlive_the_database_and_catch_up_later(
    dying: tuple[PostgresServer, KeyStore],
    rings: Callable[..., KeyRing],
    caplog: pytest.LogCaptureFixture,
) -> None:
    server, store = dying
    reported: list[set[str]] = []
    ring = rings(store, SOON_S, on_revoked=reported.append)
    (record, secret), (_, other) = store.create_many([NewKey(name="a"), NewKey(name="b")])
    await ring.start()
    with caplog.at_level(logging.INFO, "freehold.gateway"):
        server.stop()
        await until(lambda: not ring.is_current)
        assert ring.find(bearer(secret)).key_id == record.id
        assert not await ring.refresh()
        with pytest.raises(KeysUnavailable) as caught:
            await ring.find_new(bearer(new_secret().text))
        assert (caught.value.http_status, "127.0.0.1" in str(caught.value)) == (503, False)
        known = ring.find(bearer(other))
        assert await ring.find_anew(bearer(other)) is known, "what was refused stays refused"
        assert not await ring.refresh()
        server.start()
        store.database.engine.dispose()
        await asyncio.to_thread(store.revoke, record.id)
        await until(lambda: bool(reported))
    assert ring.is_current
    assert is_refused(ring, secret, "was revoked")
    assert ring.find(bearer(other))
    assert [message.levelname for message in caplog.records] == ["WARNING", "INFO"]


@pytest.mark.slow
async def test_a_start_without_database_fails(
    dying: tuple[PostgresServer, KeyStore], rings: Callable[..., KeyRing], tmp_path: Path
) -> None:
    server, store = dying
    server.stop()
    with pytest.raises(DatabaseUnavailable):
        await rings(store, 3600).start()
    with pytest.raises(DatabaseUnavailable):
        await rings(store, 3600, snapshot=tmp_path / "none").start()


@pytest.mark.slow
async def test_a_restart_without_database_knows_the_keys_of_the_snapshot(
    dying: tuple[PostgresServer, KeyStore],
    rings: Callable[..., KeyRing],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server, store = dying
    snapshot = tmp_path / "keys.snapshot"
    full = NewKey(name="b", role="admin", label="may-leave", models=("m",), expires="1h", monthly_tokens=5)
    (revoked, first), (_, second), (rotated, old) = store.create_many([NewKey(name="a"), full, NewKey(name="c")])
    before = KeyRing(store, 3600, snapshot=snapshot)
    await before.start()
    store.revoke(revoked.id)
    _, new = store.rotate(rotated.id, grace_s=3600)
    await before.refresh()
    expected = [before.find(bearer(secret)) for secret in (second, old, new)]
    await before.close()
    assert stat.S_IMODE(snapshot.stat().st_mode) == 0o600
    content = snapshot.read_bytes()
    for secret in (first, second, old, new):
        assert secret.encode() not in content
        assert base64.urlsafe_b64decode(secret[3:] + "=") not in content

    server.stop()
    reported: list[set[str]] = []
    ring = rings(store, SOON_S, snapshot=snapshot, on_revoked=reported.append)
    with caplog.at_level(logging.INFO, "freehold.gateway"):
        await ring.start()
        assert "3 keys" in caplog.text
        assert "snapshot" in caplog.text
        assert [ring.find(bearer(secret)) for secret in (second, old, new)] == expected
        assert is_refused(ring, first, "was revoked")
        assert not ring.is_current
        server.start()
        store.database.engine.dispose()
        await asyncio.to_thread(store.revoke, rotated.id)
        await until(lambda: bool(reported))
    assert reported == [{rotated.id}]
    assert ring.find(bearer(second)) == expected[0]


@pytest.mark.parametrize("spoil", ["garbage", "permissions", "other database"])
async def test_a_snapshot_that_cannot_be_trusted_is_not_used(
    spoil: str, postgres_url: str, rings: Callable[..., KeyRing], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    snapshot = tmp_path / "keys.snapshot"
    database = open_database(postgres_url)
    migrate(database)
    before = KeyRing(KeyStore(database), 3600, snapshot=snapshot)
    await before.start()
    await before.close()
    database.call(lambda connection: connection.execute(text("drop table key_revision")))
    if spoil == "garbage":
        snapshot.write_bytes(b"\x00" + snapshot.read_bytes())
    elif spoil == "permissions":
        snapshot.chmod(0o622)
    else:
        database.close()
        database = open_database("postgresql://freehold@127.0.0.1:1/other")
    with pytest.raises(DatabaseUnavailable):
        await rings(KeyStore(database), 3600, snapshot=snapshot).start()
    assert "is not used" in caplog.text
    database.close()


async def test_the_snapshot_follows_a_revocation(
    store: KeyStore, rings: Callable[..., KeyRing], tmp_path: Path
) -> None:
    snapshot = tmp_path / "keys.snapshot"
    ring = rings(store, SOON_S, snapshot=snapshot)
    record, _ = store.create(NewKey(name="chat"))
    await ring.start()
    inode = snapshot.stat().st_ino
    store.revoke(record.id)
    await until(lambda: snapshot.stat().st_ino != inode)
    assert ring._snapshot is not None
    kept = ring._snapshot.read()
    assert kept is not None
    assert [entry.is_revoked for entry in kept[0]] == [True]


async def test_a_snapshot_that_cannot_be_written_stops_nothing(
    store: KeyStore, rings: Callable[..., KeyRing], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    ring = rings(store, 3600, snapshot=tmp_path / "file" / "keys.snapshot")
    await ring.start()
    assert "cannot be written" in caplog.text
    assert ring.is_current


# How soon.


async def test_a_key_revoked_elsewhere_is_out_after_one_wait_of_half_a_second(
    store: KeyStore, rings: Callable[..., KeyRing], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    over = asyncio.Semaphore(0)

    async def sleep(wait_s: float) -> None:
        waits.append(wait_s)
        await over.acquire()

    monkeypatch.setattr(keyring, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": sleep}))
    record, secret = store.create(NewKey(name="chat"))
    ring = rings(store)
    await ring.start()
    await until(lambda: len(waits) == 1)
    store.revoke(record.id)
    over.release()
    await until(lambda: len(waits) == 2)
    assert is_refused(ring, secret, "was revoked")
    assert waits == [POLL_S, POLL_S]
    assert POLL_S <= 0.5


# Size.


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_hundred_thousand_keys(database_url: str, rings: Callable[..., KeyRing]) -> None:
    count, sample = 100_000, 997
    database = open_database(database_url)
    migrate(database)
    store = KeyStore(database)
    teams = [
        NewKey(name="x", team=f"team {team}", models=("a", "b"), requests_per_minute=team) for team in range(1, 51)
    ]
    created = [one for _ in range(20) for one in store.create_many(teams * (count // 1000))]
    some = {secret: record.id for record, secret in created[::sample]}
    revoked, gone = created[5]
    del created
    ring = rings(store, 3600)
    tracemalloc.start()
    await ring.start()
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert used / count < 1000, f"{used / count:.0f} bytes per key"
    assert {secret: ring.find(bearer(secret)).key_id for secret in some} == some
    store.revoke(revoked.id)
    await ring.refresh()
    assert is_refused(ring, gone, "was revoked")
    assert {secret: ring.find(bearer(secret)).key_id for secret in some} == some
    database.close()
