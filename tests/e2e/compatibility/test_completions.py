"""Completions by the openai package."""

import openai
import pytest
from fixtures.compatibility import Api
from fixtures.journeys import MODEL
from openai import OpenAI

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]
COMPLETIONS = Api("/v1/completions", "openai")
PROMPT = "The capital of France is"


@COMPLETIONS.works("completion")
@COMPLETIONS.works("streaming")
def test_a_completion_streamed_or_not(client: OpenAI) -> None:
    whole = client.completions.create(model=MODEL, prompt=PROMPT, max_tokens=6, temperature=0)
    assert "Paris" in whole.choices[0].text and whole.usage and whole.usage.completion_tokens == 6
    chunks = list(client.completions.create(model=MODEL, prompt=PROMPT, max_tokens=6, temperature=0, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == whole.choices[0].text


@COMPLETIONS.works("`echo` with `logprobs`", "the prompt's tokens too")
def test_the_prompt_is_repeated(client: OpenAI) -> None:
    reply = client.completions.create(model=MODEL, prompt=PROMPT, max_tokens=1, temperature=0, echo=True, logprobs=1)
    assert reply.choices[0].text.startswith(PROMPT)
    logprobs = reply.choices[0].logprobs
    assert logprobs and logprobs.tokens and reply.usage and len(logprobs.tokens) == reply.usage.total_tokens


@COMPLETIONS.works("a list of prompts, `n`, `stop`")
def test_a_list_of_prompts(client: OpenAI) -> None:
    prompts = [PROMPT, "One, two, three,"]
    reply = client.completions.create(model=MODEL, prompt=prompts, max_tokens=8, n=2, temperature=0.1, stop=["."])
    assert [choice.index for choice in reply.choices] == [0, 1, 2, 3]
    assert "Paris" in reply.choices[0].text and "four" in reply.choices[2].text
    assert not any("." in choice.text for choice in reply.choices)


@COMPLETIONS.refused("`suffix` on a model without fill-in-the-middle", "the message says so")
def test_a_suffix(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="FIM") as refused:
        client.completions.create(model=MODEL, prompt=PROMPT, suffix=".", max_tokens=2)
    assert refused.value.param == "suffix"


def test_a_seed_holds_where_a_prompt_is_read_in_pieces(client: OpenAI) -> None:
    """On a CPU, vLLM's own code ends the engine. The second time, the cache has the first pieces."""

    def answer(seed: int) -> str:
        prompt = [5 + place % 90 for place in range(200)]
        reply = client.completions.create(model="no-parser", prompt=prompt, seed=seed, max_tokens=12, temperature=1.0)
        return reply.choices[0].text

    first = answer(3)
    assert first and answer(3) == first and answer(4) != first
