"""One assistant turn by prefix difference: what the engine would be given, and what it should answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from freehold.core.dataset.examples import Message, Origin
from freehold.finetune.masking.template import ChatTemplate, TemplateError, place, shows

_EXCERPT = 40


@dataclass(frozen=True, slots=True)
class Turn:
    """Token ids of a prompt as the engine renders it, and of its answer with the end-of-turn token."""

    prompt_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]

    @property
    def token_ids(self) -> tuple[int, ...]:
        return self.prompt_ids + self.answer_ids


def read_turn(
    template: ChatTemplate,
    stop_ids: frozenset[int],
    messages: Sequence[Message],
    tools: Sequence[dict[str, Any]],
    origin: Origin | None,
) -> Turn:
    """The turn that ends `messages`. Raises TemplateError where prompt and answer cannot be told apart.

    The answer ends with its first token at which the engine stops; what a template writes after it (ChatML's newline)
    is no part of it.
    """
    prompt = template.render(messages[:-1], tools, prompt=True, origin=origin)
    whole = template.render(messages, tools, prompt=False, origin=origin)
    if not whole.startswith(prompt):
        raise _prefix_error(template, prompt, whole, origin)
    answer = whole[len(prompt) :]
    answer_text = _up_to_stop(template, stop_ids, answer, origin)
    _check_answer(messages[-1], answer_text, origin)
    if not _begins_with_it(messages[-1], answer_text):
        _check_heading(messages[-1], prompt, answer_text, template.render(messages[:-1], tools, prompt=False), origin)
    prompt_ids, whole_ids = template.tokens(prompt), template.tokens(prompt + answer_text)
    if whole_ids[: len(prompt_ids)] == prompt_ids:
        return Turn(prompt_ids, whole_ids[len(prompt_ids) :])
    # A token reaches over the border. The engine sees the prompt's own tokens, so the answer follows in its own.
    answer_ids = template.tokens(answer_text)
    if template.tokenizer.decode(prompt_ids + answer_ids) != template.tokenizer.decode(whole_ids):
        raise TemplateError(
            f"{place(origin)}the tokenizer joins the prompt's end and the answer's start",
            why=f"{prompt[-_EXCERPT:]!r} and {answer[:_EXCERPT]!r} are no whole tokens of their own",
            next_step="Begin the answer without white space.",
        )
    return Turn(prompt_ids, answer_ids)


def _up_to_stop(template: ChatTemplate, stop_ids: frozenset[int], answer: str, origin: Origin | None) -> str:
    stops = [str(template.tokenizer.convert_ids_to_tokens(token)) for token in sorted(stop_ids)]
    ends = [answer.find(stop) + len(stop) for stop in stops if stop in answer]
    if ends:
        return answer[: min(ends)]
    raise TemplateError(
        f"{place(origin)}the template ends an answer with no token at which the engine stops",
        why=f"it ends with {answer[-_EXCERPT:]!r}, and the engine stops at {', '.join(stops) or 'nothing'}: "
        "a model that learnt this would never stop",
        next_step="Name the end-of-turn token in the model's generation_config.json (eos_token_id).",
    )


def _check_answer(message: Message, answer: str, origin: Origin | None) -> None:
    """What the message says must be what is learnt."""
    content = message.get("content") or ""
    if not shows(answer, content):
        raise TemplateError(
            f"{place(origin)}the template does not give the assistant's answer back",
            why=f"the message says {content[:_EXCERPT]!r}, the template makes {answer[:_EXCERPT]!r} of it",
            next_step="Leave end-of-turn tokens out of the answer, or give the model a template that keeps it.",
        )
    for call in message.get("tool_calls", ()):
        name = call["function"]["name"]
        if name not in answer:
            raise TemplateError(
                f"{place(origin)}the template leaves out the assistant's tool calls",
                why=f"{name} is called, the template makes {answer[:_EXCERPT]!r} of it",
                next_step="Use a model that was made for tools, or give it a template that writes calls.",
            )


def _begins_with_it(message: Message, answer: str) -> bool:
    """Whether nothing precedes what the message says; calls and thoughts have a beginning of the template's own."""
    content = (message.get("content") or "").strip()
    return not content or bool(message.get("reasoning_content")) or answer.lstrip().startswith(content)


def _check_heading(message: Message, prompt: str, answer: str, without: str, origin: Origin | None) -> None:
    """A turn's heading must be in the prompt; `without` is the prompt without add_generation_prompt."""
    if prompt == without:
        heading = answer[: answer.find((message.get("content") or "").strip())]
        raise TemplateError(
            f"{place(origin)}the template does not say where the assistant begins",
            why=f"it ignores add_generation_prompt, and writes {heading!r} before the answer, "
            "which the engine's prompt would not hold",
            next_step="Give the model a template with a generation prompt.",
        )


def _prefix_error(template: ChatTemplate, prompt: str, whole: str, origin: Origin | None) -> TemplateError:
    same = next(
        (i for i, (a, b) in enumerate(zip(prompt, whole, strict=False)) if a != b), min(len(prompt), len(whole))
    )
    asked, rendered = prompt[same : same + _EXCERPT], whole[same : same + _EXCERPT]
    clock = "; the template writes the time" if template.uses_clock else ""
    return TemplateError(
        f"{place(origin)}the template cannot tell the answer from its prompt",
        why=f"the prompt goes on with {asked!r} where the whole chat has {rendered!r}{clock}: "
        "what would be learnt is not what the engine asks for",
        next_step="Use a template whose prompt is the beginning of the chat, and serve the model with the same one.",
    )
