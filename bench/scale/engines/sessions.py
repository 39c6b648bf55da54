"""Sessions with system prompts that several share, asked of a gateway as a client sees it."""

import asyncio
import json
import random
import time
from dataclasses import dataclass, field

import aiohttp

MODEL = "smollm2"
APPS, SESSIONS, TURNS = 5, 2, 3
"""System prompts; sessions with each; turns of each."""
PROMPT_WORDS, QUESTION_WORDS, ANSWER_TOKENS = 350, 100, 8
CLIENTS = 3
LIMIT_S = 300.0


@dataclass
class Answers:
    """What the clients saw."""

    first_token_s: list[float] = field(default_factory=list)
    wall_s: float = 0.0


async def ask_all(url: str, run: str, seed: int) -> Answers:
    """Every session once, by so many clients at a time. What `run` says is nowhere else: no cache knows it yet."""
    draw = random.Random(seed)
    prompts = [f"Run {run}, app {app}. {_words(draw, PROMPT_WORDS)}" for app in range(APPS)]
    questions = [[_words(draw, QUESTION_WORDS) for _ in range(TURNS)] for _ in range(APPS * SESSIONS)]
    order = list(range(APPS * SESSIONS))
    draw.shuffle(order)
    # A client has several sessions open, and goes from one to the next, as users with time to think do.
    turns = [order[half::CLIENTS] * TURNS for half in range(CLIENTS)]
    histories: dict[int, list[dict[str, str]]] = {
        number: [{"role": "system", "content": prompts[number % APPS]}] for number in order
    }
    answers = Answers()
    begun = time.perf_counter()
    async with aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(total=LIMIT_S)) as client:

        async def work(mine: list[int]) -> None:
            for number in mine:
                history = histories[number]
                history.append({"role": "user", "content": questions[number][len(history) // 2]})
                text = await _ask(client, history, f"{run}-{number}", answers)
                history.append({"role": "assistant", "content": text})

        await asyncio.gather(*(work(mine) for mine in turns))
    answers.wall_s = time.perf_counter() - begun
    return answers


async def _ask(client: aiohttp.ClientSession, messages: list[dict[str, str]], session: str, answers: Answers) -> str:
    body = {
        "model": MODEL,
        "messages": messages,
        "max_tokens": ANSWER_TOKENS,
        "temperature": 0,
        "ignore_eos": True,
        "stream": True,
    }
    # vllm-router's consistent_hash goes by this header; the others do not look at it.
    begun, first, text = time.perf_counter(), 0.0, ""
    async with client.post("/v1/chat/completions", json=body, headers={"x-session-id": session}) as answer:
        if answer.status != 200:
            raise SystemExit(f"{client._base_url} answered {answer.status}: {await answer.text()}")
        async for line in answer.content:
            if not line.startswith(b"data: {"):
                continue
            choices = json.loads(line[6:])["choices"]
            said = choices[0]["delta"].get("content") if choices else None
            if said:
                first = first or time.perf_counter() - begun
                text += said
    answers.first_token_s.append(first)
    return text


def _words(draw: random.Random, count: int) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz"
    return " ".join("".join(draw.choices(letters, k=draw.randint(2, 4))) for _ in range(count))
