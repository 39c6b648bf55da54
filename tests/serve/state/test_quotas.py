"""Leases of allowances, on both databases: nothing is granted twice, nothing that was used is lost."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, Update, delete, exists, func, or_, select, update

from freehold.serve.state.allowances import ALLOWANCE, LEASE, OF_LEASE, LockedAllowances, Name
from freehold.serve.state.database import Database, DatabaseUnavailable, now, open_database
from freehold.serve.state.quotas import (
    BATCH,
    REPLICA,
    Demand,
    Grant,
    Settlement,
    Standing,
    acquire,
    heartbeat,
    release,
    renew,
    settle,
    sweep,
    wanted,
)

pytestmark = pytest.mark.slow

LIMIT = 1000
LEASE_S = 60.0
THIS_MONTH = int(time.time())
MONTH = Name("key_1", "month_tokens", THIS_MONTH)


class Replica:
    """The calls of one replica, each a transaction."""

    def __init__(self, database: Database, name: str) -> None:
        self.database = database
        self.name = name
        self.batch = 0
        database.call(lambda connection: heartbeat(connection, name))

    def acquire(self, need: int, name: Name = MONTH) -> Standing:
        return self.acquire_all([Demand(name, LIMIT, need)])[name].standing

    def acquire_all(self, demands: list[Demand]) -> dict[Name, Grant]:
        return self.database.call(lambda connection: acquire(connection, self.name, demands, LEASE_S))

    def settle(self, spent: int, give_back: int = 0, name: Name = MONTH) -> Standing:
        self.batch += 1
        return self.repeat(spent, give_back, name)

    def repeat(self, spent: int, give_back: int = 0, name: Name = MONTH) -> Standing:
        return self._settle([Settlement(name, spent, give_back)])[name]

    def settle_all(self, settlements: list[Settlement]) -> dict[Name, Standing]:
        self.batch += 1
        return self._settle(settlements)

    def _settle(self, settlements: list[Settlement]) -> dict[Name, Standing]:
        return self.database.call(lambda connection: settle(connection, self.name, self.batch, settlements))

    def renew(self) -> dict[Name, Standing]:
        return self.database.call(lambda connection: renew(connection, self.name, LEASE_S))

    def wanted(self) -> list[Name]:
        return self.database.call(lambda connection: wanted(connection, self.name))

    def release(self) -> None:
        self.database.call(lambda connection: release(connection, self.name))


@pytest.fixture
def replica(database: Database) -> Replica:
    return Replica(database, "rep_a")


@pytest.fixture
def other(database: Database) -> Replica:
    return Replica(database, "rep_b")


def expire(database: Database, replica: str) -> None:
    """As if its lease time had passed."""
    database.call(lambda connection: connection.execute(_expiry(replica)))


def _expiry(replica: str) -> Update:
    return update(LEASE).where(LEASE.c.replica == replica).values(expires_at=0.0)


def assert_consistent(connection: Connection, limit: int | None = LIMIT) -> None:
    """Leases add up to `leased`, and no more than the limit is out; none of it is negative."""
    of_lease = exists().where(*OF_LEASE).correlate(LEASE)
    assert connection.execute(select(LEASE).where(or_(LEASE.c.amount <= 0, ~of_lease))).all() == []
    total = select(func.coalesce(func.sum(LEASE.c.amount), 0)).where(*OF_LEASE).correlate(ALLOWANCE).scalar_subquery()
    for row in connection.execute(select(ALLOWANCE, total.label("total"))):  # one statement sees one moment
        assert row.leased == row.total
        assert limit is None or row.spent + row.leased <= limit


def spent(database: Database) -> int:
    return database.call(lambda connection: connection.scalar(select(func.sum(ALLOWANCE.c.spent)))) or 0


def test_a_lease_is_a_share_of_what_is_left(replica: Replica, other: Replica) -> None:
    assert replica.acquire(10) == Standing(250, 0, 250)  # of 1000, a half for two replicas
    assert other.acquire(10) == Standing(187, 0, 437)
    assert replica.acquire(400) == Standing(650, 0, 837)
    replica.database.call(assert_consistent)


def test_it_is_scarce_when_the_others_could_not_have_as_much_and_again(replica: Replica, other: Replica) -> None:
    scarce = [replica.acquire_all([Demand(MONTH, LIMIT, need)])[MONTH].is_scarce for need in (10, 200, 10, 10, 600)]
    assert scarce == [False, True, False, False, True]
    other.release()
    assert not replica.acquire_all([Demand(MONTH, LIMIT, LIMIT)])[MONTH].is_scarce  # there are no others


def test_nothing_is_wanted_that_no_other_replica_holds(replica: Replica, other: Replica) -> None:
    replica.acquire(900)
    replica.acquire(900)
    assert replica.wanted() == []


def test_a_replica_that_was_not_seen_gets_no_share(replica: Replica, other: Replica) -> None:
    replica.database.call(lambda connection: connection.execute(update(REPLICA).values(seen_at=1.0)))
    assert replica.acquire(10).lease == 500


def test_what_is_too_much_is_refused_whole_and_wanted(replica: Replica, other: Replica) -> None:
    replica.acquire(900)
    assert replica.wanted() == []
    assert other.acquire(101) == Standing(0, 0, 900)
    assert replica.wanted() == [MONTH]
    assert other.wanted() == []  # it holds nothing to give back
    replica.settle(0, give_back=300)
    assert other.acquire(101) == Standing(101, 0, 701)
    replica.database.call(assert_consistent)


def test_what_was_used_is_charged_and_the_rest_can_be_had_again(replica: Replica, other: Replica) -> None:
    replica.acquire(600)
    assert replica.settle(200, give_back=400) == Standing(0, 200, 0)
    assert other.acquire(800) == Standing(800, 200, 800)


def test_what_was_used_beyond_the_lease_is_charged_too(replica: Replica) -> None:
    replica.acquire(LIMIT)
    assert replica.settle(LIMIT + 50) == Standing(0, LIMIT + 50, 0)
    assert replica.acquire(1).lease == 0


def test_a_lease_that_expired_is_taken_back_once(replica: Replica, other: Replica) -> None:
    replica.acquire(900)
    expire(replica.database, "rep_a")
    assert other.acquire(800).lease == 800
    assert replica.renew() == {}
    assert replica.settle(100, give_back=800) == Standing(0, 100, 800)  # charged, and nothing given back twice
    replica.database.call(assert_consistent)
    assert other.acquire(1).lease == 825  # 100 were left, a quarter of it is a stock


def test_a_lease_that_expired_and_nobody_took_is_renewed(replica: Replica, other: Replica) -> None:
    replica.acquire(900)
    expire(replica.database, "rep_a")
    assert replica.renew() == {MONTH: Standing(900, 0, 900)}
    assert other.acquire(200).lease == 0


def test_a_batch_that_was_applied_before_changes_nothing(replica: Replica) -> None:
    replica.acquire(600)
    first = replica.settle(200, give_back=100)
    assert replica.repeat(200, give_back=100) == first
    replica.settle(10)
    assert spent(replica.database) == 210
    count = select(func.count()).select_from(BATCH)
    assert replica.database.call(lambda connection: connection.scalar(count)) == 1


def test_what_was_used_without_a_lease_is_charged(replica: Replica) -> None:
    assert replica.settle(70) == Standing(0, 70, 0)
    assert replica.acquire(LIMIT - 69).lease == 0
    assert replica.acquire(LIMIT - 70).lease == LIMIT - 70


def test_a_replica_that_stops_leaves_nothing(replica: Replica, other: Replica) -> None:
    replica.acquire(500)
    replica.settle(100)
    other.acquire(100)
    replica.release()
    replica.database.call(assert_consistent)
    assert other.acquire(700).lease >= 800
    count = select(func.count()).select_from(BATCH)
    assert replica.database.call(lambda connection: connection.scalar(count)) == 0


def test_windows_that_are_long_over_are_swept_and_no_ledgers_batches(replica: Replica) -> None:
    at = int(replica.database.call(now))
    minute, old = Name("key_1", "tokens", at), Name("key_1", "tokens", at - 590)
    replica.acquire(5, minute)
    replica.acquire(5, old)
    replica.acquire(5)
    year_ago = Name("key_1", "month_money", at - 396 * 86400)
    ancient = Name("key_1", "month_money", at - 430 * 86400)
    replica.settle(1, name=year_ago)
    replica.settle(1, name=ancient)

    def age(connection: Connection) -> None:
        for table in (ALLOWANCE, LEASE):
            is_old = table.c.window_start == old.window_start
            connection.execute(update(table).where(is_old).values(window_start=at - 601))
            connection.execute(update(table).where(table.c.meter == MONTH.meter).values(window_start=at))
        connection.execute(BATCH.insert().values(id="rep_a.12345678-1", applied_at=1.0))
        connection.execute(BATCH.insert().values(id="quota:rep_dead/4", applied_at=1.0))

    replica.database.call(age)
    replica.database.call(sweep)
    replica.database.call(assert_consistent)

    def left(connection: Connection) -> set[tuple[str, int]]:
        return {(row.meter, row.window_start) for row in connection.execute(select(ALLOWANCE))}

    kept = {("tokens", at), ("month_tokens", at), ("month_money", year_ago.window_start)}
    assert replica.database.call(left) == kept
    ids = replica.database.call(lambda connection: connection.scalars(select(BATCH.c.id)).all())
    assert set(ids) == {"rep_a.12345678-1", "quota:rep_a/2"}


def test_a_minute_that_is_long_over_is_not_brought_back(replica: Replica) -> None:
    old = Name("key_1", "tokens", int(replica.database.call(now)) - 700)
    assert replica.settle_all([Settlement(old, 5, 5)]) == {}
    assert replica.acquire_all([Demand(old, 10, 1)]) == {}
    assert replica.database.call(lambda connection: connection.execute(select(ALLOWANCE)).all()) == []


def test_sweeping_takes_back_what_dead_replicas_hold(replica: Replica, other: Replica) -> None:
    replica.acquire(900)
    other.acquire(50)
    expire(replica.database, "rep_a")
    replica.database.call(sweep)
    replica.database.call(assert_consistent)
    assert other.acquire(900).lease >= 950


def test_many_allowances_are_leased_at_once(replica: Replica) -> None:
    names = [Name(f"key_{number}", meter, 0) for number in range(600) for meter in ("concurrent", "month_tokens")]
    granted = replica.acquire_all([Demand(name, LIMIT, 1) for name in names])
    assert granted == {name: Grant(500, Standing(500, 0, 500), is_scarce=False) for name in names}


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_leases_add_up_and_no_use_is_lost(database: Database, seed: int) -> None:
    """A random walk of three replicas which may lose leases, repeat batches, stop and come back."""
    dice = random.Random(seed)
    replicas = [Replica(database, f"rep_{letter}") for letter in "abc"]
    held = {replica.name: 0 for replica in replicas}
    used = 0

    def take(replica: Replica) -> None:
        held[replica.name] = replica.acquire(dice.randint(1, 200)).lease

    def use(replica: Replica) -> None:
        nonlocal used
        amount = dice.randint(0, held[replica.name])
        back = dice.randint(0, held[replica.name] - amount)
        held[replica.name] = replica.settle(amount, back).lease
        used += amount
        if dice.random() < 0.2:
            replica.repeat(amount, back)

    def lose(replica: Replica) -> None:
        expire(database, replica.name)
        if dice.random() < 0.5:
            database.call(sweep)
        held[replica.name] = replica.renew().get(MONTH, Standing(0, 0, 0)).lease

    def stop(replica: Replica) -> None:
        replica.release()
        held[replica.name] = 0
        replica.batch = 0

    def start_again(replica: Replica) -> None:
        """A new window, else everything is used up soon."""
        nonlocal used
        if dice.random() < 0.1:
            database.call(lambda connection: connection.execute(update(ALLOWANCE).values(spent=0)))
            used = 0

    moves: list[Callable[[Replica], None]] = [take, take, take, use, use, lose, stop, start_again]
    for _ in range(250):
        dice.choice(moves)(dice.choice(replicas))
        database.call(assert_consistent)
        assert spent(database) == used


@pytest.mark.usefixtures("patience")
def test_threads_that_contend_never_lease_more_than_there_is(database: Database) -> None:
    """Every thread names several allowances, in an order of its own; none dies of a deadlock, none loses a count."""
    names = [Name(f"key_{number}", "month_tokens", THIS_MONTH) for number in range(4)]
    used: Counter[Name] = Counter()
    failures: list[BaseException] = []

    def work(number: int) -> None:
        dice = random.Random(number)
        mine: Counter[Name] = Counter()
        replica = Replica(database, f"rep_{number}")
        try:
            for _ in range(40):
                chosen = dice.sample(names, 3)
                granted = replica.acquire_all([Demand(name, LIMIT, dice.randint(1, 60)) for name in chosen])
                settlements = []
                for name, grant in granted.items():
                    amount = dice.randint(0, min(9, grant.standing.lease))
                    mine[name] += amount
                    settlements.append(Settlement(name, amount, grant.standing.lease - amount))
                dice.shuffle(settlements)
                replica.settle_all(settlements)
                replica.renew()
                if dice.random() < 0.1:
                    database.call(sweep)
        except BaseException as error:
            failures.append(error)
            raise
        used.update(mine)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        database.call(assert_consistent)
        time.sleep(0.005)
    for thread in threads:
        thread.join()
    assert failures == []
    rows = database.call(lambda connection: connection.execute(select(ALLOWANCE.c.key_id, ALLOWANCE.c.spent)).all())
    assert dict(iter(rows)) == {name.key_id: used[name] for name in names}


def test_nobody_waits_long_for_a_replica_that_hangs_in_a_transaction(database_url: str, database: Database) -> None:
    """Its lock is an outage for the others, which go on without the database."""
    if database.is_sqlite:
        pytest.skip("a file has no network to lose")
    hanging = open_database(database_url)
    with hanging.transaction() as connection:
        LockedAllowances(connection, "rep_a", [MONTH], now(connection))
        with pytest.raises(DatabaseUnavailable, match="lock timeout"):
            Replica(database, "rep_b").acquire(1)
    hanging.close()
    assert Replica(database, "rep_b").acquire(1).lease > 0


def test_a_lease_never_outlives_its_allowance(replica: Replica) -> None:
    replica.acquire(5)
    replica.database.call(lambda connection: connection.execute(delete(ALLOWANCE)))
    assert replica.renew() == {}
