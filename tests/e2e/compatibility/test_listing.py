"""The list of models in both dialects."""

import anthropic
import openai
import pytest
from anthropic import Anthropic
from fixtures.compatibility import Api
from fixtures.journeys import MODEL
from openai import OpenAI

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]
SERVED = [MODEL, "no-parser", "embedder", "ranker"]
BY_OPENAI, BY_ANTHROPIC = Api("/v1/models", "openai"), Api("/v1/models", "anthropic")


@BY_OPENAI.works("list, get")
@BY_OPENAI.refused("a model that is not served", "404, the message lists those that are")
def test_models_for_openai(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == SERVED
    assert client.models.retrieve(MODEL).id == MODEL
    with pytest.raises(openai.NotFoundError, match=f"gpt-9.*{MODEL}"):
        client.models.retrieve("gpt-9")


@BY_ANTHROPIC.works("list, get")
@BY_ANTHROPIC.refused("a model that is not served", "404, the message lists those that are")
def test_models_for_anthropic(claude: Anthropic) -> None:
    assert [model.id for model in claude.models.list()] == SERVED
    assert claude.models.retrieve(MODEL).display_name == MODEL
    with pytest.raises(anthropic.NotFoundError, match=f"claude-9.*{MODEL}"):
        claude.models.retrieve("claude-9")
