"""Stands in for the reader and the masker of conversations until they are there."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from freehold.core.dataset.examples import Conversation, Origin
from freehold.finetune.recipe import Recipe


class ChatMasker:
    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def mask(self, example: Conversation) -> list[Any]:
        def render(messages: Any, **options: Any) -> list[int]:
            return list(self._tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False, **options))

        *prompt, _ = messages = list(example.messages)
        before, whole = render(prompt, add_generation_prompt=True), render(messages)
        return [SimpleNamespace(token_ids=whole, trained=[i >= len(before) for i in range(len(whole))])]


def read_rows(recipe: Recipe, tokenizer: Any, objective: Any) -> Any:
    examples = [
        Conversation(Origin(source, line), tuple(json.loads(text)["messages"]))
        for source in recipe.data.train
        for line, text in enumerate(Path(source).read_text().splitlines(), start=1)
    ]
    held_out = round(len(examples) * recipe.data.eval_fraction)
    masker = ChatMasker(tokenizer)
    rows = [objective.tokenise(part, masker, recipe) for part in (examples[held_out:], examples[:held_out])]
    return rows[0], rows[1] if held_out else None
