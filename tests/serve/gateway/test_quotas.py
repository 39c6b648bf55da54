"""One replica's limits: what is refused and what is said then, windows and clocks, settling."""

from datetime import UTC, datetime

import pytest

from freehold.serve.gateway.errors import OverLimit, error_headers, message_of
from freehold.serve.gateway.principal import Limits
from freehold.serve.gateway.quotas import QuotaBook, Reservation
from freehold.serve.gateway.quotas.clock import WindowClock
from freehold.serve.gateway.quotas.rate_headers import duration

START = datetime(2026, 3, 31, 23, 50, 30, tzinfo=UTC).timestamp()
ALL = Limits(10, 1000, 3, 5000, 2_000_000)


class Times:
    """A wall clock and a monotonic one, turned by hand."""

    def __init__(self) -> None:
        self.wall_s = START
        self.monotonic_s = 1000.0

    def wall(self) -> float:
        return self.wall_s

    def monotonic(self) -> float:
        return self.monotonic_s

    def pass_(self, seconds: float) -> None:
        self.wall_s += seconds
        self.monotonic_s += seconds


@pytest.fixture
def times() -> Times:
    return Times()


@pytest.fixture
def book(times: Times) -> QuotaBook:
    """Alone, without a database."""
    return QuotaBook(None, "rep_1", wall=times.wall, monotonic=times.monotonic)


async def take(book: QuotaBook, limits: Limits, tokens: int = 1, money: int = 0) -> Reservation:
    """As the relay does it."""
    return book.reserve("key_1", limits, tokens, money) or await book.acquire("key_1", limits, tokens, money)


async def refused(book: QuotaBook, limits: Limits, tokens: int = 1, money: int = 0) -> OverLimit:
    with pytest.raises(OverLimit) as caught:
        await take(book, limits, tokens, money)
    return caught.value


async def test_what_was_taken_once_is_at_hand_from_then_on(book: QuotaBook) -> None:
    assert book.reserve("key_1", ALL, 1, 0) is None
    (await book.acquire("key_1", ALL, 1, 0)).settle(1, 0)
    assert book.reserve("key_1", ALL, 1, 0) is not None


@pytest.mark.parametrize(
    ("limits", "fits", "code", "kind", "retry_after", "text"),
    [
        (
            Limits(requests_per_minute=4),
            4,
            "rate_limit_exceeded",
            "requests",
            "30",
            "The key's limit of 4 requests per minute is reached. Try again in 30s.",
        ),
        (
            Limits(tokens_per_minute=450),
            4,
            "rate_limit_exceeded",
            "tokens",
            "30",
            "The key's limit of 450 tokens per minute is reached: the request may use 100, and 50 are left. "
            "Try again in 30s, or lower max_tokens.",
        ),
        (
            Limits(concurrent_requests=4),
            4,
            "rate_limit_exceeded",
            "requests",
            "1",
            "The key's limit of 4 requests at once is reached. Try again in 1s.",
        ),
        (
            Limits(monthly_tokens=450),
            4,
            "insufficient_quota",
            "tokens",
            "1",
            "The key's limit of 450 tokens per month is reached: the request may use 100, and 50 are left. "
            "Try again in 1s, or lower max_tokens.",
        ),
        (
            Limits(monthly_money=4_500_000),
            4,
            "insufficient_quota",
            "tokens",
            "1",
            "The key's limit of 4.50 of money per month is reached: the request may use 1.00, and 0.50 are left. "
            "Try again in 1s, or lower max_tokens.",
        ),
    ],
)
async def test_each_limit_refuses_what_goes_beyond_it(
    limits: Limits, fits: int, code: str, kind: str, retry_after: str, text: str, book: QuotaBook
) -> None:
    for _ in range(fits):
        await take(book, limits, 100, 1_000_000)
    error = await refused(book, limits, 100, 1_000_000)
    assert (error.http_status, error.code, error.kind, message_of(error)) == (429, code, kind, text)
    assert error_headers(error)["retry-after"] == retry_after


async def test_a_budget_that_is_used_up_says_so_until_the_month_ends(book: QuotaBook) -> None:
    (await take(book, Limits(monthly_tokens=450), 400)).settle(420, 0)
    error = await refused(book, Limits(monthly_tokens=450), 100)
    assert error.retry_after_s == 9 * 60 + 30
    assert message_of(error) == (
        "The key's limit of 450 tokens per month is reached: the request may use 100, and 30 are left. "
        "Wait for the next month, or ask for a larger budget, or lower max_tokens."
    )


async def test_a_request_that_can_never_fit_is_told_both_numbers(book: QuotaBook) -> None:
    error = await refused(book, ALL, 1200)
    assert message_of(error) == (
        "The request is larger than the key's limit of 1000 tokens per minute: it may use 1200: its prompt and "
        "max_tokens. Lower max_tokens, or shorten the prompt."
    )
    assert error_headers(error)["x-should-retry"] == "false"
    assert message_of(await refused(book, Limits(requests_per_minute=0))) == (
        "The key's limit is 0 requests per minute. Ask for a higher limit."
    )


async def test_headers_are_those_of_openai(book: QuotaBook, times: Times) -> None:
    reservation = await take(book, ALL, 400)
    times.pass_(17.5)
    assert reservation.header_lines() == (
        b"x-ratelimit-limit-requests: 10\r\n"
        b"x-ratelimit-remaining-requests: 9\r\n"
        b"x-ratelimit-reset-requests: 13s\r\n"
        b"x-ratelimit-limit-tokens: 1000\r\n"
        b"x-ratelimit-remaining-tokens: 600\r\n"
        b"x-ratelimit-reset-tokens: 13s\r\n"
    )
    error = await refused(book, ALL, 700)
    expected = dict(line.split(": ") for line in reservation.header_lines().decode().splitlines())
    assert error_headers(error) == {**expected, "retry-after": "13"}
    assert (await book.acquire("key_2", Limits(concurrent_requests=1), 1, 0)).header_lines() == b""


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (11.2, "12s"), (63, "1m3s"), (60, "1m0s"), (7205, "2h0m5s")])
def test_durations_are_written_as_openai_does(seconds: float, text: str) -> None:
    assert duration(seconds) == text


async def test_settling_twice_is_settling_once(book: QuotaBook) -> None:
    limits = Limits(tokens_per_minute=100, concurrent_requests=1)
    reservation = await take(book, limits, 60)
    reservation.settle(20, 0)
    reservation.settle(20, 0)
    reservation.cancel()
    await take(book, limits, 80)
    assert (await refused(book, limits, 1)).kind == "tokens"


async def test_what_a_request_used_beyond_its_reservation_is_missing_to_the_next(book: QuotaBook) -> None:
    limits = Limits(tokens_per_minute=100)
    (await take(book, limits, 10)).settle(130, 0)
    assert "0 are left" in message_of(await refused(book, limits, 1))


async def test_a_request_that_no_engine_saw_counts_as_a_request_and_costs_nothing(book: QuotaBook) -> None:
    limits = Limits(requests_per_minute=2, tokens_per_minute=100, concurrent_requests=1, monthly_money=5)
    (await take(book, limits, 100, 5)).cancel()
    (await take(book, limits, 100, 5)).cancel()
    assert (await refused(book, limits, 100, 5)).what == "The key's limit of 2 requests per minute is reached"


async def test_a_refusal_takes_nothing_of_the_other_limits(book: QuotaBook) -> None:
    limits = Limits(requests_per_minute=2, tokens_per_minute=100, concurrent_requests=2)
    await take(book, limits, 90)
    for _ in range(5):
        await refused(book, limits, 20)
    await take(book, limits, 10)


async def test_keys_do_not_share_limits(book: QuotaBook) -> None:
    limits = Limits(concurrent_requests=1)
    await book.acquire("key_1", limits, 1, 0)
    await book.acquire("key_2", limits, 1, 0)


async def test_a_minute_and_a_month_start_anew(book: QuotaBook, times: Times) -> None:
    limits = Limits(tokens_per_minute=100, monthly_tokens=150)
    (await take(book, limits, 100)).settle(100, 0)
    times.pass_(29)
    assert (await refused(book, limits, 50)).code == "rate_limit_exceeded"
    times.pass_(2)
    (await take(book, limits, 50)).settle(50, 0)
    times.pass_(60)
    assert (await refused(book, limits, 1)).code == "insufficient_quota"
    times.pass_(9 * 60)  # April
    (await take(book, limits, 100)).settle(100, 0)


async def test_what_runs_over_the_end_of_a_minute_is_charged_to_the_minute_it_began_in(
    book: QuotaBook, times: Times
) -> None:
    limits = Limits(tokens_per_minute=100, concurrent_requests=1)
    reservation = await take(book, limits, 100)
    times.pass_(31)
    assert (await refused(book, limits)).what == "The key's limit of 1 requests at once is reached"
    reservation.settle(100, 0)
    await take(book, limits, 100)


async def test_a_clock_that_jumps_back_opens_no_minute_again(book: QuotaBook, times: Times) -> None:
    limits = Limits(tokens_per_minute=100)
    (await take(book, limits, 100)).settle(100, 0)
    times.pass_(31)
    (await take(book, limits, 100)).settle(100, 0)
    times.wall_s -= 40
    assert (await refused(book, limits, 1)).code == "rate_limit_exceeded"
    minutes = set()
    for _ in range(600):
        times.pass_(1)
        try:
            (await take(book, limits, 100)).settle(100, 0)
        except OverLimit:
            continue
        minutes.add(times.wall_s)
    assert len(minutes) in (9, 10)  # it neither opened an old one nor stood still


async def test_a_clock_that_jumps_forward_is_followed(times: Times) -> None:
    clock = WindowClock(times.wall, times.monotonic)
    leaps = []
    clock.on_leap = lambda: leaps.append(times.wall_s)
    clock.observe(START, 1000, 1000)
    clock.observe(START + 0.5, 1000, 1000)
    assert leaps == []
    clock.observe(START + 100, 1000, 1000)
    assert clock.now() == START + 100
    assert leaps == [START]


def test_windows_follow_the_reference_and_never_go_back(times: Times) -> None:
    clock = WindowClock(lambda: START - 5000, times.monotonic)  # this machine's clock is wrong
    clock.observe(START, 999.0, 1001.0)
    assert abs(clock.now() - START) <= 1
    seen = [clock.now()]
    for _ in range(200):
        times.pass_(0.5)
        clock.observe(times.wall_s - 60, times.monotonic_s, times.monotonic_s)
        seen.append(clock.now())
    assert seen == sorted(seen)
    assert clock.now() - (times.wall_s - 60) == pytest.approx(60 - 50, abs=1.1)  # half speed for 100 s
    clock.observe(START - 8000, times.monotonic_s, times.monotonic_s)
    assert clock.now() == START - 8000  # it was ahead by hours: that would be another month's budget


def test_a_reference_that_was_read_within_what_is_known_changes_nothing(times: Times) -> None:
    clock = WindowClock(times.wall, times.monotonic)
    clock.observe(START, 1000, 1000)
    before = clock.now()
    clock.observe(START - 3, 996, 1001)  # a slow answer
    assert clock.now() == before


def test_months_end_where_they_should(times: Times) -> None:
    clock = WindowClock(times.wall, times.monotonic)
    assert datetime.fromtimestamp(clock.month(), UTC).isoformat() == "2026-03-01T00:00:00+00:00"
    assert datetime.fromtimestamp(clock.month_end(), UTC).isoformat() == "2026-04-01T00:00:00+00:00"
    times.pass_(260 * 86400)  # December
    assert datetime.fromtimestamp(clock.month_end(), UTC).isoformat() == "2027-01-01T00:00:00+00:00"


async def test_a_new_limit_holds_from_the_next_request_on(book: QuotaBook) -> None:
    (await take(book, Limits(monthly_tokens=100), 50)).settle(50, 0)
    assert await refused(book, Limits(monthly_tokens=60), 20)
    await take(book, Limits(monthly_tokens=60), 10)
    await take(book, Limits(monthly_tokens=200), 140)
    await refused(book, Limits(monthly_tokens=200), 1)
    await take(book, Limits(tokens_per_minute=5), 5)
