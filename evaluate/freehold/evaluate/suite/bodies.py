"""The body of a request: the suite's fields, over them the prompt's, over them the target's."""

from typing import Any

from freehold.evaluate.prompts.prompt import Prompt
from freehold.evaluate.suite.suite import Suite, Target


def body_of(suite: Suite, target: Target, prompt: Prompt, sample: int) -> dict[str, Any]:
    """What is sent. A seed becomes another for each sample; null takes a field out."""
    merged = suite.request.fields() | prompt.body() | target.request.fields()
    body = {"model": target.model} | {name: value for name, value in merged.items() if value is not None}
    if isinstance(body.get("seed"), int):
        body["seed"] += sample
    return body
