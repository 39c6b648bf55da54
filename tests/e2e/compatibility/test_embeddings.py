"""Embeddings by the openai package; rerank and score, which no SDK has."""

import base64
import struct
from typing import Any

import openai
import pytest
from fixtures.compatibility import Api
from fixtures.journeys import MODEL
from openai import OpenAI

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]
EMBEDDINGS = Api("/v1/embeddings", "openai")
RERANK, SCORE = Api("/v1/rerank", "plain HTTP"), Api("/v1/score", "plain HTTP")


@EMBEDDINGS.works("one text or a list", "unit length")
@EMBEDDINGS.works("`encoding_format` float and base64", "the same numbers")
def test_texts_are_embedded(client: OpenAI) -> None:
    texts = ["own the model", "one two three"]
    floats = client.embeddings.create(model="embedder", input=texts, encoding_format="float")
    assert [each.index for each in floats.data] == [0, 1] and floats.usage.prompt_tokens > 0
    assert sum(value**2 for value in floats.data[0].embedding) == pytest.approx(1, abs=1e-3)
    raw: Any = client.embeddings.create(model="embedder", input=texts, encoding_format="base64").data[0].embedding
    packed = base64.b64decode(raw)
    assert struct.unpack(f"<{len(packed) // 4}f", packed) == pytest.approx(floats.data[0].embedding)
    default = client.embeddings.create(model="embedder", input=texts[0])
    assert default.data[0].embedding == pytest.approx(floats.data[0].embedding, abs=1e-5)


@EMBEDDINGS.refused("`dimensions` on a model without Matryoshka embeddings", "the message names the parameter")
def test_fewer_dimensions(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="dimensions must be unset"):
        client.embeddings.create(model="embedder", input="x", dimensions=8)


@EMBEDDINGS.refused("a text longer than the context", "the message has both lengths")
def test_a_text_that_is_too_long(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match=r"128 tokens.* 2500 characters"):
        client.embeddings.create(model="embedder", input="word " * 500)


@EMBEDDINGS.refused("embeddings of a chat model", "404, the message names the path that its engine lacks")
def test_a_chat_model_embeds_nothing(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="has no /v1/embeddings") as refused:
        client.embeddings.create(model=MODEL, input="x")
    assert refused.value.code == "endpoint_not_supported"


@RERANK.works("`query`, `documents`, `top_n`")
def test_documents_are_ranked(client: OpenAI) -> None:
    asked = {"model": "ranker", "query": "capital of France", "documents": ["Paris", "a dog", "seven"], "top_n": 2}
    reply: Any = client.post("/rerank", body=asked, cast_to=object)
    scores = [result["relevance_score"] for result in reply["results"]]
    assert len(scores) == 2 and scores == sorted(scores, reverse=True)
    assert reply["results"][0]["document"]["text"] in asked["documents"]


@SCORE.works("`text_1`, `text_2`")
def test_pairs_are_scored(client: OpenAI) -> None:
    asked = {"model": "ranker", "text_1": "capital of France", "text_2": ["Paris", "a dog"]}
    reply: Any = client.post("/score", body=asked, cast_to=object)
    assert [each["index"] for each in reply["data"]] == [0, 1]
    assert all(isinstance(each["score"], float) for each in reply["data"])
