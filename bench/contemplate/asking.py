"""Asks every question of every contender, in one shuffled order, so that none has the quieter hour."""

import asyncio
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from bench.contemplate.questions import PATTERNS, Question

MODEL = "smollm2-135m-instruct"
MAX_TOKENS = 32
CONCURRENCY = 8


@dataclass(frozen=True)
class Contender:
    """One way to answer; `routes` by slice, where it is a route."""

    name: str
    fields: Mapping[str, Any]
    contemplate: Mapping[str, Any] | None = None

    def model(self, slice_name: str) -> str:
        """What a request names."""
        return MODEL if self.contemplate is None else f"{self.name.split()[0]}-{slice_name}"


CONTENDERS = (
    Contender("single, temperature 0", {"temperature": 0}),
    Contender("single, temperature 0.7", {"temperature": 0.7}),
    Contender("majority of 5", {}, {"agents": {MODEL: 5}, "mode": "majority", "maxTokens": 5 * MAX_TOKENS}),
    Contender("debate of 3", {}, {"agents": {MODEL: 3}, "judge": MODEL, "maxTokens": 7 * 24}),
)
"""The first is what the others are compared with."""


def deployment() -> dict[str, Any]:
    """What `freehold serve` is to serve."""
    routes = {}
    for contender in CONTENDERS:
        for name, pattern in PATTERNS.items():
            if contender.contemplate is not None:
                contemplate = {**contender.contemplate, "answerPattern": pattern, "timeS": 120}
                routes[contender.model(name)] = {"strategy": "contemplate", "contemplate": contemplate}
    models = {MODEL: {"artifact": MODEL, "engine": {"maxModelLen": 2048}}}
    return {"models": models, "routes": routes}


@dataclass(frozen=True)
class Answer:
    """What came of one question."""

    is_solved: bool
    tokens: int
    latency_s: float
    outcome: str
    """As `usage.contemplation` says it; empty for a single answer."""


async def ask_all(url: str, items: Sequence[Question], seed: int = 0) -> dict[tuple[str, int], Answer]:
    """By contender's name and question's number. Raises RuntimeError if the gateway refuses one."""
    todo = [(contender, number) for contender in CONTENDERS for number in range(len(items))]
    random.Random(seed).shuffle(todo)
    slots, found = asyncio.Semaphore(CONCURRENCY), {}
    async with aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(total=600)) as session:

        async def one(contender: Contender, number: int) -> None:
            async with slots:
                found[contender.name, number] = await _ask(session, contender, items[number])
            if len(found) % 50 == 0:
                print(f"{len(found)} of {len(todo)} answers", file=sys.stderr)

        await asyncio.gather(*(one(contender, number) for contender, number in todo))
    return found


async def _ask(session: aiohttp.ClientSession, contender: Contender, question: Question) -> Answer:
    # Without seeds: vLLM 0.32 dies on a CPU when a seeded request's prompt is read in pieces, as prompts are that come
    # together. So another run has other samples.
    body = {
        "model": contender.model(question.slice),
        "messages": [{"role": "user", "content": question.prompt}],
        "max_tokens": MAX_TOKENS,
        "stop": ["\n"],
        **contender.fields,
    }
    began = time.perf_counter()
    async with session.post("/v1/chat/completions", json=body) as reply:
        answer = await reply.json()
        if reply.status != 200:
            raise RuntimeError(f"{contender.name}: {reply.status}: {answer}")
    usage = answer["usage"]
    return Answer(
        question.is_solved_by(answer["choices"][0]["message"]["content"] or ""),
        usage["total_tokens"],
        time.perf_counter() - began,
        usage.get("contemplation", {}).get("outcome", ""),
    )
