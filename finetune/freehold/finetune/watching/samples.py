"""Answers to a few held-out prompts while a model is trained, for a person to look at."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from freehold.core.dataset.examples import Conversation, Example

MAX_NEW_TOKENS = 64
SHARE = 0.05
"""Of the run's time, at most this goes into answers: on a CPU they would else cost more than the training."""


@dataclass(frozen=True)
class Question:
    """A prompt and what the data answers."""

    prompt: str
    """The last message, for the page."""
    expected: str
    prompt_ids: tuple[int, ...]


@dataclass(frozen=True)
class Sample:
    """One answer at one step."""

    step: int
    prompt: str
    expected: str
    answer: str


def choose_questions(examples: Sequence[Example], masker: Any, count: int) -> list[Question]:
    """The first `count` conversations, each up to its last answer."""
    chosen: list[Question] = []
    for example in examples:
        if len(chosen) == count:
            break
        if not isinstance(example, Conversation) or example.messages[-1]["role"] != "assistant":
            continue
        *asked, answer = example.messages
        if asked:
            prompt_ids = tuple(masker.prompt_ids(asked, example.tools))
            chosen.append(Question(_text(asked[-1]), _text(answer), prompt_ids))
    return chosen


class Sampler:
    """Asks the model in training, greedily. Skips a turn where that would take more than `SHARE` of the time."""

    def __init__(self, questions: Sequence[Question], tokenizer: Any, stop_token_ids: Sequence[int]) -> None:
        self._questions = questions
        self._tokenizer = tokenizer
        self._stop = list(stop_token_ids)
        self._began = time.monotonic()
        self._spent_s = 0.0

    def ask(self, model: Any, step: int, *, anyway: bool = False) -> list[Sample]:
        """Answers of the model as it is now; none when it is not their turn."""
        if not self._questions or not (anyway or self._spent_s <= (time.monotonic() - self._began) * SHARE):
            return []
        started = time.monotonic()
        was_training = model.training
        model.eval()
        try:
            with torch.inference_mode():
                answers = [self._answer(model, question) for question in self._questions]
        finally:
            model.train(was_training)
        self._spent_s += time.monotonic() - started
        pairs = zip(self._questions, answers, strict=True)
        return [Sample(step, question.prompt, question.expected, answer) for question, answer in pairs]

    def _answer(self, model: Any, question: Question) -> str:
        ids = torch.tensor([question.prompt_ids], device=model.device)
        output = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=MAX_NEW_TOKENS,
            do_sample=False,
            repetition_penalty=1.0,
            eos_token_id=self._stop,
            pad_token_id=self._stop[0],
        )
        text: str = self._tokenizer.decode(output[0, len(question.prompt_ids) :], skip_special_tokens=True)
        return text.strip()


def _text(message: Any) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else str(content or message.get("tool_calls", ""))
