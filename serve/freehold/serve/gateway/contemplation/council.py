"""Who contemplates for a route, and the most that it may cost."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from freehold.serve.config import Contemplate
from freehold.serve.engines.engine import Engine
from freehold.serve.gateway.contemplation.prompts import instruction_bytes
from freehold.serve.gateway.principal import Principal


class Need(NamedTuple):
    """The most that one part may use."""

    engine: Engine
    prompt: int
    completion: int


@dataclass(frozen=True, slots=True)
class Council:
    """The agents, one for each draft, and the judge; None for a majority."""

    config: Contemplate
    agents: tuple[Engine, ...]
    judge: Engine | None
    absent: tuple[str, ...] = ()
    """Agents that this request must not reach."""

    @property
    def engines(self) -> tuple[Engine, ...]:
        """Each once."""
        return tuple(dict.fromkeys(self.agents if self.judge is None else (*self.agents, self.judge)))

    def staying(self, principal: Principal) -> "Council | None":
        """Those that the caller's requests may reach; None if they are too few to answer."""
        if principal.may_leave:
            return self
        agents = tuple(engine for engine in self.agents if not engine.leaves)
        if len(agents) < self.config.needed or (self.judge is not None and self.judge.leaves):
            return None
        absent = tuple(dict.fromkeys(engine.name for engine in self.agents if engine.leaves))
        return replace(self, agents=agents, absent=absent)

    def needs(self, prompt: int, answer: int | None) -> Iterable[Need]:
        """The most that each part may use, for a prompt of so many tokens and answers bounded by `answer`.

        Whoever criticises reads the drafts, the judge all that was written: that is prompt once more.
        """
        config, budget, drafts = self.config, self.config.max_tokens, len(self.agents)
        limit = budget if answer is None else answer
        drafted = min(budget, drafts * limit)
        criticises = self.judge is not None and config.rounds > 0
        # Critiques have no limit but the budget, and get what drafts have left.
        written = budget if criticises else min(budget, (drafts + (self.judge is not None)) * limit)
        share = -(-written // self.parts)
        for agent in self.agents:
            yield Need(agent, prompt, share)
        if self.judge is None:
            return
        reading = prompt + instruction_bytes(self.parts)
        for number in range(config.rounds):
            for agent in self.agents:
                yield Need(agent, reading + (budget if number else drafted), share)
        yield Need(self.judge, reading + (budget if criticises else drafted), share)

    @property
    def parts(self) -> int:
        """Requests to engines that one request becomes at most."""
        drafts = len(self.agents)
        return drafts if self.judge is None else drafts * (1 + self.config.rounds) + 1


def make_council(config: Contemplate, known: Mapping[str, Engine]) -> Council:
    """The route's council, its engines looked up by name."""
    agents = tuple(known[name] for name, drafts in config.agents.items() for _ in range(drafts))
    return Council(config, agents, known[config.judge] if config.judge and config.mode == "debate" else None)
