"""One contemplation: drafts, rounds of critique, and the answer, within its time and its tokens."""

from collections.abc import Sequence
from typing import Any

from freehold.core.errors import FreeholdError
from freehold.serve.gateway.contemplation.asking import OUT_OF_TIME, OUT_OF_TOKENS, Asking, Start
from freehold.serve.gateway.contemplation.council import Council
from freehold.serve.gateway.contemplation.errors import NoQuorum, OutOfTime, Refused
from freehold.serve.gateway.contemplation.part import Part
from freehold.serve.gateway.contemplation.prompts import critique_messages, merge_messages
from freehold.serve.gateway.contemplation.reply import Reply
from freehold.serve.gateway.contemplation.voting import Verdict, vote
from freehold.serve.gateway.contemplation.wish import Wish
from freehold.serve.gateway.exchange import Exchange
from freehold.serve.gateway.job import Job

LAST_WORDS_S = 2.0
"""How long the answer waits for parts that were cut off to tell what they have used."""
_REFUSALS = frozenset({400, 413, 422})
"""What an engine says of a request; by others it speaks of itself, or of our key there."""


class Sitting:
    """Asks the parts and writes the reply. `outcome` says how it ended."""

    def __init__(self, council: Council, wish: Wish, job: Job, exchange: Exchange, start: Start) -> None:
        self.outcome = "failed"
        judge = council.judge
        self._council = council
        self._wish = wish
        self._exchange = exchange
        self._reply = Reply(job, exchange, wish, judge.fingerprint if judge else "")
        self._asking = Asking(council, wish, job, exchange, start, self._reply.keep_alive)
        self._left_out = [f"{name}: this key's requests must stay here" for name in council.absent]

    @property
    def parts(self) -> int:
        """How many were asked."""
        return self._asking.bill.parts

    @property
    def used(self) -> tuple[int, int]:
        """Tokens of prompts and of answers that the parts have told so far."""
        return self._asking.bill.prompt, self._asking.bill.completion

    async def hold(self) -> None:
        """From the first draft to the answer's end. Raises FreeholdError while the client can still be told."""
        drafts = await self._draft()
        critiques = await self._criticise(drafts)
        if self._council.judge is None:
            await self._answer_by(vote(drafts, self._council.config.answer_pattern), drafts)
        else:
            await self._merge(drafts, critiques)

    def close(self) -> None:
        """Whatever is still under way is stopped."""
        self._asking.close()

    # -- stages ----------------------------------------------------------------------------------------------------

    async def _draft(self) -> list[Part]:
        """Drafts that can be used, in the order of their agents. Raises FreeholdError if they are too few."""
        config, wish, council = self._council.config, self._wish, self._council
        fields = {**self._sampling(config.temperature), "messages": wish.messages, **wish.for_answers}
        parts = []
        for number, agent in enumerate(council.agents, 1):
            own = {} if wish.seed is None else {"seed": wish.seed + number - 1}
            if council.judge is None and agent.abilities is not None:  # else it may be no vLLM, and refuse it
                own["logprobs"] = True
            parts.append(self._asking.part("draft", number, agent, {**fields, **own}, council.parts, is_answer=True))
        await self._asking.run(parts, is_last=council.judge is None, quorum=config.needed)
        drafts = [part for part in parts if not part.problem]
        late = [part for part in parts if part.problem == OUT_OF_TIME]
        if len(drafts) + len(late) < config.needed or not drafts:
            raise _no_answer(parts, config.needed, is_late=bool(late))
        for name in self._left_out:
            self._tell(f"Left out: {name}.")
        await self._show(parts)
        return drafts

    async def _criticise(self, drafts: Sequence[Part]) -> list[Part]:
        config, wish = self._council.config, self._wish
        found: list[Part] = []
        if self._council.judge is None:
            return found
        for number in range(config.rounds):
            left = (config.rounds - number) * len(drafts) + 1
            if why := self._asking.spent(left):
                self._leave_out(f"critique: {why}")
                break
            messages = critique_messages(wish.messages, _texts(drafts), _texts(found))
            fields = {**self._sampling(config.temperature), "messages": messages}
            before = len(found)
            parts = [
                self._asking.part("critique", number * len(drafts) + index, draft.engine, fields, left)
                for index, draft in enumerate(drafts, 1)
            ]
            await self._asking.run(parts)
            found += [part for part in parts if not part.problem]
            await self._show(parts)
            if len(found) == before:
                break
        return found

    async def _merge(self, drafts: Sequence[Part], critiques: Sequence[Part]) -> None:
        """The judge's answer; where it has none, the draft that most agree with."""
        wish, judge = self._wish, self._council.judge
        assert judge is not None, "a debate has a judge"
        messages = merge_messages(wish.messages, _texts(drafts), _texts(critiques))
        fields = {**self._sampling(self._council.config.judge_temperature), "messages": messages, **wish.for_answers}
        fields |= {} if wish.seed is None else {"seed": wish.seed}
        part = self._asking.part("merge", 0, judge, fields, 1, is_answer=True)
        if not part.cap:
            self._leave_out(f"the judge: {OUT_OF_TOKENS}")
        else:
            part.show(self._pass_on, self._exchange.client.room)
            await self._asking.run([part], is_last=True)
            if not part.problem or (self._reply.has_content and part.problem == OUT_OF_TIME):
                self.outcome = "merged"
                await self._finish(part, "length" if part.problem else part.finish_reason)
                return
            if self._reply.has_content:
                raise NoQuorum("The judge was lost in the middle of the answer", why=part.problem)
            self._tell(f"Left out: {part.name}: {part.problem}.")
        self.outcome = "unmerged"
        await self._answer_by(vote(drafts, self._council.config.answer_pattern), drafts)

    async def _answer_by(self, verdict: Verdict, drafts: Sequence[Part]) -> None:
        chosen = drafts[verdict.chosen]
        if self._council.judge is None:
            self.outcome = "majority"
        agreed = f"{verdict.votes} of {len(drafts)} drafts agree" if verdict.votes else "no draft has an answer"
        self._tell(f"{agreed}; {chosen.name} is the answer.")
        self._reply.say(chosen.text)
        await self._finish(chosen, chosen.finish_reason, verdict)

    async def _finish(self, part: Part, finish_reason: str, verdict: Verdict | None = None) -> None:
        bill = self._asking.bill
        is_known = await bill.wait(LAST_WORDS_S)
        detail: dict[str, Any] = {"parts": bill.parts, "outcome": self.outcome}
        if verdict is not None:
            detail["votes"] = verdict.votes
        failed = [f"{each.name}: {each.problem}" for each in self._asking.parts if each.problem]
        if left_out := self._left_out + failed:
            detail["left_out"] = left_out
        if not is_known:
            detail["incomplete"] = True
        usage = {
            "prompt_tokens": bill.prompt,
            "completion_tokens": bill.completion,
            "total_tokens": bill.prompt + bill.completion,
            "contemplation": detail,
        }
        await self._exchange.client.room()
        self._reply.finish(part.text, finish_reason, usage, part.fingerprint)

    def _sampling(self, temperature: float | None) -> dict[str, Any]:
        """What the request says of sampling; `temperature` where it names none."""
        wished = self._wish.temperature
        own = temperature if wished is None else wished
        return {**self._wish.for_all, **({} if own is None else {"temperature": own})}

    # -- telling ---------------------------------------------------------------------------------------------------

    def _pass_on(self, text: str, reasoning: str) -> bool:
        waits = self._reply.tell(reasoning) if reasoning else False
        return (self._reply.say(text) if text else False) or waits

    async def _show(self, parts: Sequence[Part]) -> None:
        for part in parts:
            self._tell(f"Left out: {part.name}: {part.problem}." if part.problem else f"{part.name}:\n{part.text}")
        await self._exchange.client.room()

    def _leave_out(self, what: str) -> None:
        """Nobody was asked for it, and the client is told."""
        self._left_out.append(what)
        self._tell(f"Left out: {what}.")

    def _tell(self, text: str) -> None:
        self._reply.tell(f"{text}\n\n")


def _texts(parts: Sequence[Part]) -> list[str]:
    return [part.text for part in parts]


def _no_answer(parts: Sequence[Part], needed: int, *, is_late: bool) -> FreeholdError:
    problems = "; ".join(dict.fromkeys(f"{part.engine.name}: {part.problem}" for part in parts if part.problem))
    told = {part.status for part in parts if part.problem and not part.why_cut}
    if len(told) == 1 and told <= _REFUSALS:
        return Refused("The agents refuse the request", why=problems, http_status=told.pop())
    if is_late:
        return OutOfTime("No draft was ready in time", why=problems)
    failed = sum(1 for part in parts if part.problem and not part.why_cut)
    return NoQuorum(f"{failed} of {len(parts)} drafts failed, and {needed} are needed", why=problems)
