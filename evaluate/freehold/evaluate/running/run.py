"""A run: every prompt to every target, scored as the answers come, resumable at any moment."""

import asyncio
import collections
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from freehold.core.counter import Counter
from freehold.core.errors import FreeholdError
from freehold.evaluate.prompts.prompt import Prompt
from freehold.evaluate.results.record import Answered, Score
from freehold.evaluate.running.answers import Answers, Place
from freehold.evaluate.running.asking import Asking
from freehold.evaluate.running.cache import Cache
from freehold.evaluate.running.estimate import estimate, require_within
from freehold.evaluate.running.folder import RunFolder
from freehold.evaluate.running.journal import Journal, exchange_key
from freehold.evaluate.running.spending import BudgetSpent, Share, Spending
from freehold.evaluate.running.stopping import Stop, Stopped, interruptible
from freehold.evaluate.scorers.scorer import Sample, Unscorable
from freehold.evaluate.suite.bodies import body_of
from freehold.evaluate.suite.loading import Loaded
from freehold.evaluate.targets.amounts import Amount, cost
from freehold.evaluate.targets.artifacts import served_artifacts
from freehold.evaluate.targets.attempt import CHAT
from freehold.evaluate.targets.reply import Reply

SPENT = "the budget was spent"


@dataclass(frozen=True)
class Options:
    """What is not the suite's to say."""

    cache: Cache | None = None
    until_spent: bool = False
    """Start although the budget may not suffice."""
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)


@dataclass(frozen=True)
class Finished:
    """How a run ended."""

    outcomes: collections.Counter[str]
    from_cache: int
    """Answers of earlier runs."""
    spent: Amount
    """By all sittings; what nobody knows, at its estimate."""
    is_whole: bool
    """False where a person stopped it."""


async def run(loaded: Loaded, folder: RunFolder, options: Options) -> Finished:
    """Run a suite in its folder, or go on with it.

    Raises RefusedError where the budget may not suffice, RemoteError where a target or the judge cannot be asked. What
    was answered is kept in any case.
    """
    with folder.held(), Journal(folder.journal) as journal:
        answers = Answers(folder.answers, keep=folder.begin(loaded))
        if not options.until_spent:
            _require_budget(loaded, journal, answers)
        stop = Stop()
        spending = Spending(loaded.suite.budget, journal.spent)
        judge = loaded.suite.judge
        async with Asking(judge, journal, spending, stop, cache=options.cache, environ=options.environ) as asking:
            folder.note_artifacts(await served_artifacts(loaded.suite.targets, options.environ))
            runner = _Runner(loaded, answers, asking, stop)
            with interruptible(stop):
                await runner.work()
        if runner.is_whole:
            answers.finish(runner.order())
            folder.end()
        outcomes = collections.Counter[str](one.outcome for one in answers.done.values())
        return Finished(outcomes, asking.from_cache.total(), journal.spent, runner.is_whole)


def _require_budget(loaded: Loaded, journal: Journal, answers: Answers) -> None:
    expected = estimate(loaded.suite, loaded.prompts, _Known(journal, answers))
    require_within(loaded.suite, sum(expected.values(), Amount()), journal.spent)


@dataclass(frozen=True)
class _Known:
    """What is in the run's folder."""

    journal: Journal
    answers: Answers

    def is_asked(self, name: str, body: dict[str, Any], sample: int) -> bool:
        return self.journal.reply(exchange_key(name, CHAT, body, sample)) is not None

    def is_scored(self, prompt: Prompt, sample: int, name: str) -> bool:
        return (prompt.id, sample, name) in self.answers.done


class _Runner:
    """One sitting."""

    def __init__(self, loaded: Loaded, answers: Answers, asking: Asking, stop: Stop) -> None:
        self._suite, self._prompts = loaded.suite, loaded.prompts
        self._answers, self._asking, self._stop = answers, asking, stop
        self._error: FreeholdError | None = None
        self._todo = self._groups()
        self._left = len(self.order()) - len(answers.done)
        self._came = 0
        self._progress = Counter("answers", self._left)

    @property
    def is_whole(self) -> bool:
        return not self._stop.is_asked

    def order(self) -> list[Place]:
        """All answers that there will be: prompt by prompt, so that targets stay comparable wherever a run ends."""
        return [
            (prompt.id, number, name)
            for prompt, number in product(self._prompts, range(self._suite.samples))
            for name in self._names(prompt, number)
        ]

    def _names(self, prompt: Prompt, number: int) -> list[str]:
        """Of what answers this; a record holds one answer at most."""
        recorded = self._suite.from_record.items() if number == 0 else ()
        return [*self._suite.targets, *(name for name, one in recorded if one.source in prompt.replies)]

    async def work(self) -> None:
        """Raises the first error that ends the run, after the answers that were on their way."""
        # Twice as many as slots, so that a slow target leaves no other idle.
        slots = max((target.concurrency for target in self._suite.targets.values()), default=1)
        with self._progress:
            async with asyncio.TaskGroup() as group:
                for _ in range(2 * slots):
                    group.create_task(self._worker())
        if self._error:
            raise self._error

    async def _worker(self) -> None:
        for prompt, number in self._todo:
            try:
                self._stop.check()
                await self._group(prompt, number)
            except Stopped:
                return
            except FreeholdError as error:
                self._error = self._error or error
                self._stop.ask()

    def _groups(self) -> Iterator[tuple[Prompt, int]]:
        for prompt, number in product(self._prompts, range(self._suite.samples)):
            if any((prompt.id, number, name) not in self._answers.done for name in self._names(prompt, number)):
                yield prompt, number

    async def _group(self, prompt: Prompt, number: int) -> None:
        """All targets' answers to one prompt; scored when all are there, since one may be held against another."""
        names = self._names(prompt, number)
        targets = {name: self._suite.targets[name] for name in names if name in self._suite.targets}
        bodies = {name: body_of(self._suite, target, prompt, number) for name, target in targets.items()}
        # Together, since an answer without the others' is worth nothing to what compares them.
        share = await self._asking.share((name, targets[name], CHAT, body, number) for name, body in bodies.items())
        async with share:
            asked = [self._ask(name, prompt, number, bodies.get(name), share) for name in names]
            came = await asyncio.gather(*asked, return_exceptions=True)
        for error in came:
            if isinstance(error, BaseException):
                raise error
        replies = dict(zip(names, came, strict=True))
        there = {name: reply for name, reply in replies.items() if isinstance(reply, Reply)}
        for name, reply in replies.items():
            if (prompt.id, number, name) not in self._answers.done:
                made = await self._scored(prompt, number, name, reply, there) if isinstance(reply, Reply) else None
                self._answers.add(made or self._skipped(prompt, number, name))
                self._came += 1
                self._progress.show(self._came)

    async def _ask(
        self, name: str, prompt: Prompt, number: int, body: dict[str, Any] | None, share: Share
    ) -> Reply | None:
        """None when the budget is spent. Without a body the answer is on record."""
        if body is None:
            return prompt.replies[self._suite.from_record[name].source]
        target = self._suite.targets[name]
        try:
            return await self._asking.reply(name, target, CHAT, body, sample=number, share=share)
        except BudgetSpent:
            return None

    async def _scored(
        self, prompt: Prompt, number: int, name: str, reply: Reply, others: Mapping[str, Reply]
    ) -> Answered | None:
        """None when the budget was spent before a judge had its say."""
        scores: dict[str, Score] = {}
        if reply.outcome == "answered":
            sample = Sample(prompt, name, number, reply, others)
            try:
                for scorer_name, scorer in self._suite.scorers.items():
                    if scorer.applies(prompt):
                        scores[scorer_name] = await scorer.score(sample, self._asking)
            except (BudgetSpent, Unscorable):
                return None
        prices = (self._suite.targets.get(name) or self._suite.from_record[name]).prices
        return Answered(
            suite=self._suite.name,
            prompt=prompt.id,
            slices=prompt.slices,
            target=name,
            sample=number,
            outcome=reply.outcome,
            answer=reply.text,
            message=reply.message,
            error=reply.error,
            fingerprint=reply.fingerprint,
            usage=reply.usage,
            latency_s=reply.latency_s,
            cost=None if reply.usage is None else cost(reply.usage, prices),
            scores=scores,
        )

    def _skipped(self, prompt: Prompt, number: int, name: str) -> Answered:
        return Answered(
            suite=self._suite.name,
            prompt=prompt.id,
            slices=prompt.slices,
            target=name,
            sample=number,
            outcome="skipped",
            error=SPENT,
        )
