"""What users do: sessions that begin, grow by their own answers, and end.

Everything about a session is drawn when it begins, and when it begins depends on nobody: every policy meets the very
same users.
"""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from freehold.serve.engines.policies import Place, Wish

SESSION_KEYS = 1 << 32
"""Keys of sessions begin here; those of apps are below."""
BATCH = 4096
"""Random numbers are drawn so many at a time."""


@dataclass(frozen=True)
class Habits:
    """Lengths are lognormal, in tokens; waits exponential, turns geometric, popularity by Zipf's law."""

    apps: int = 200
    """Each with a system prompt of its own."""
    app_skew: float = 1.0
    """Exponent of Zipf's law."""
    app_tokens: float = 2000.0
    adapters: int = 0
    """Apps use one of so many, by Zipf's law, or, every fourth, the model as it is."""
    same_first: bool = False
    """All sessions of an app begin with the same message, as with examples before the question."""
    turns: float = 4.0
    question_tokens: float = 150.0
    answer_tokens: float = 200.0
    think_s: float = 30.0
    """Between an answer and the next question of the session."""
    pause_s: float = 280.0
    """Between a user's sessions."""
    most_tokens: int = 8192
    """A session ends before it is longer."""

    @property
    def cycle_s(self) -> float:
        """From one session of a user to the next, without what answers take."""
        return self.turns * self.think_s + self.pause_s


@dataclass(slots=True)
class Session:
    """A conversation under way."""

    key: int
    app: int
    app_tokens: int
    adapter: int
    turns: list[tuple[int, int, float]]
    """What is left, the last turn first: tokens of question and answer, and seconds before the question."""
    history_tokens: int = 0
    hashes: tuple[int, int, int | None] = (0, 0, None)
    """Of system prompt, first message and adapter, as a gateway would make them."""


class Request:
    """One turn, and what becomes of it."""

    __slots__ = (
        "adapter", "answer_tokens", "app", "app_tokens", "first_s", "found_tokens", "gateway",
        "history_tokens", "number", "own_tokens", "place", "session", "since_s", "unread", "wish",
    )  # fmt: skip

    def __init__(self, number: int, session: Session, since_s: float) -> None:
        question, self.answer_tokens, _ = session.turns.pop()
        self.number = number
        self.since_s = since_s
        """When it was sent."""
        self.session = session
        self.app, self.app_tokens, self.adapter = session.app, session.app_tokens, session.adapter
        self.history_tokens = session.history_tokens
        self.own_tokens = session.history_tokens + question
        """All of its prompt but the app's."""
        self.found_tokens = 0
        """Of its prompt, in the engine's cache."""
        self.unread = 0.0
        self.first_s = 0.0
        """When its first token was written."""
        self.gateway = -1
        self.wish: Wish
        """What its gateway makes of it."""
        self.place: Place
        session.history_tokens = self.own_tokens + self.answer_tokens

    @property
    def prompt_tokens(self) -> int:
        return self.app_tokens + self.own_tokens


class Users:
    """A number of users, as the rate at which sessions begin: within a session a user waits for each answer, and the
    pause between two sessions is long enough to be anybody's."""

    def __init__(self, habits: Habits, users: float, seed: int) -> None:
        self.rate = users / habits.cycle_s
        """Sessions that begin in a second, on average."""
        self._habits = habits
        self._keys = count(SESSION_KEYS)
        random = np.random.default_rng(seed)
        self._app_tokens = _lengths(random, habits.app_tokens, 0.8, habits.most_tokens // 2, habits.apps).tolist()
        self._app_adapters = _adapters(random, habits).tolist()
        chances = np.cumsum(_zipf(habits.apps, habits.app_skew))
        last = habits.apps - 1
        self._apps = _drawn(lambda n: np.searchsorted(chances, random.random(n)).clip(max=last))
        self._turns = _drawn(lambda n: random.geometric(1 / habits.turns, n))
        self._questions = _drawn(lambda n: _lengths(random, habits.question_tokens, 0.8, 4096, n))
        self._answers = _drawn(lambda n: _lengths(random, habits.answer_tokens, 0.8, 2048, n))
        self._waits = _drawn(lambda n: random.exponential(habits.think_s, n))
        self._gaps = _drawn(lambda n: random.exponential(1 / self.rate, n))

    def gap_s(self) -> float:
        """Seconds to the next session."""
        return float(next(self._gaps))

    def session(self) -> Session:
        """The next that begins."""
        app = next(self._apps)
        turns: list[tuple[int, int, float]] = []
        length = self._app_tokens[app]
        for _ in range(next(self._turns)):
            question, answer = next(self._questions), next(self._answers)
            length += question + answer
            if turns and length > self._habits.most_tokens:
                break
            turns.append((question, answer, next(self._waits)))
        turns.reverse()
        key, adapter = next(self._keys), self._app_adapters[app]
        hashes = (
            _hash(f"app {app}"),
            _hash(f"session {app if self._habits.same_first else key}"),
            _hash(f"adapter {adapter}") if adapter else None,
        )
        return Session(key, app, self._app_tokens[app], adapter, turns, hashes=hashes)


def _hash(text: str) -> int:
    return zlib.crc32(text.encode())


def _drawn(draw: Callable[[int], Any]) -> Iterator[Any]:
    """As plain numbers of Python, one after the other."""
    while True:
        yield from draw(BATCH).tolist()


def _zipf(number: int, skew: float) -> Any:
    chances = 1 / np.arange(1, number + 1) ** skew
    return chances / chances.sum()


def _lengths(random: np.random.Generator, mean: float, spread: float, most: int, number: int) -> Any:
    """Lognormal with that mean, whole, at least 1."""
    drawn = random.lognormal(np.log(mean) - spread**2 / 2, spread, number)
    return drawn.astype(np.int64).clip(1, most)


def _adapters(random: np.random.Generator, habits: Habits) -> Any:
    """The adapter of each app."""
    if not habits.adapters:
        return np.zeros(habits.apps, dtype=np.int64)
    drawn = random.choice(habits.adapters, habits.apps, p=_zipf(habits.adapters, 1.0)) + 1
    drawn[::4] = 0
    return drawn
