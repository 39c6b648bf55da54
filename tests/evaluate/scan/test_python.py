"""What is understood of Python, case by case."""

from pathlib import Path

import pytest
from fixtures.scans import scanned, told

OPENAI = "from openai import OpenAI\nclient = OpenAI()\n"

FOUND = {
    "an alias": ("from openai import AsyncOpenAI as X\nX()", {"1 sdk openai", "2 client AsyncOpenAI"}),
    "a module": ("import openai\nopenai.OpenAI()", {"1 sdk openai", "2 client OpenAI"}),
    "a module by another name": (
        "import google.generativeai as g\nm = g.GenerativeModel('gemini-1.5-pro')\nm.generate_content('x')",
        {"1 sdk google-genai", "2 client GenerativeModel", "2 model gemini-1.5-pro", "3 feature gemini"},
    ),
    "a module within a module": ("from google import genai\ngenai.Client()", {"1 sdk google-genai", "2 client Client"}),
    "a call of the module": (
        "import openai\nopenai.chat.completions.create(model='gpt-4o')",
        {"1 sdk openai", "2 feature chat", "2 model gpt-4o"},
    ),
    "the client of old": (
        "import openai\nopenai.ChatCompletion.create(model='gpt-4', functions=f)",
        {"1 sdk openai", "2 feature chat", "2 feature functions", "2 model gpt-4"},
    ),
    "a constant": (
        "MODEL = 'gpt-4o-mini'\n" + OPENAI + "client.chat.completions.create(model=MODEL)",
        {"1 model gpt-4o-mini", "2 sdk openai", "3 client OpenAI", "4 feature chat"},
    ),
    "a constant of a class": (
        OPENAI + "class C:\n    M = 'o3'\nclient.responses.create(model=C.M)",
        {"1 sdk openai", "2 client OpenAI", "4 model o3", "5 feature responses"},
    ),
    "a default": (
        OPENAI + "def f(m='gpt-4.1'):\n    client.chat.completions.create(model=m, stream=True)",
        {"1 sdk openai", "2 client OpenAI", "3 model gpt-4.1", "4 feature chat", "4 feature streaming"},
    ),
    "a dict of parameters": (
        OPENAI
        + "p = {'model': 'gpt-4o'}\np['tools'] = t\np.update(logprobs=True)\nclient.chat.completions.create(**p)",
        {
            "1 sdk openai",
            "2 client OpenAI",
            "3 model gpt-4o",
            "4 feature tools",
            "5 feature logprobs",
            "6 feature chat",
        },
    ),
    "parameters from a function": (
        OPENAI
        + "def p():\n    d = {'tools': 1}\n    return {**d, 'stream': True}\nclient.chat.completions.create(**p())",
        {"1 sdk openai", "2 client OpenAI", "4 feature tools", "5 feature streaming", "6 feature chat"},
    ),
    "a name put together": (
        OPENAI + "S = 'mini'\nclient.chat.completions.create(model=f'gpt-4o-{S}')",
        {"1 sdk openai", "2 client OpenAI", "4 feature chat", "4 model gpt-4o-mini"},
    ),
    "an attribute of the object": (
        "import openai\nclass A:\n    def __init__(self):\n        self.c = openai.OpenAI()\n"
        "    def f(self):\n        return self.c.embeddings.create(model='text-embedding-3-small')",
        {"1 sdk openai", "4 client OpenAI", "6 feature embeddings", "6 model text-embedding-3-small"},
    ),
    "a parameter's type": (
        "from anthropic import Anthropic\ndef f(c: 'Anthropic | None'):\n"
        "    c.messages.create(model='claude-opus-4-6')",
        {"1 sdk anthropic", "3 feature messages", "3 model claude-opus-4-6"},
    ),
    "a method by another name": (
        OPENAI + "ask = client.chat.completions.create\nask(model='gpt-5')",
        {"1 sdk openai", "2 client OpenAI", "4 feature chat", "4 model gpt-5"},
    ),
    "a function that makes the client": (
        "from openai import OpenAI\ndef make():\n    return OpenAI()\nmake().responses.parse(model='gpt-5')",
        {"1 sdk openai", "3 client OpenAI", "4 feature responses", "4 feature json_schema", "4 model gpt-5"},
    ),
    "a deployment": (
        "from openai import AzureOpenAI\nc = AzureOpenAI()\nc.chat.completions.create(model='ours')",
        {"1 sdk azure-openai", "2 client AzureOpenAI", "3 feature chat", "3 model ours"},
    ),
    "JSON mode, by a variable": (
        OPENAI + "f = {'type': 'json_object'}\nclient.chat.completions.create(response_format=f)",
        {"1 sdk openai", "2 client OpenAI", "4 feature chat", "4 feature json_mode"},
    ),
    "pictures, sounds and files": (
        OPENAI + "m = [\n {'type': 'image_url', 'image_url': u},\n {'type': 'input_audio', 'input_audio': a},\n"
        " {'type': 'file', 'file': f}]",
        {
            "1 sdk openai",
            "2 client OpenAI",
            "4 feature vision",
            "5 feature audio_in_chat",
            "6 feature documents",
        },
    ),
    "prompt caching": (
        "import anthropic\nb = {'type': 'text', 'cache_control': {'type': 'ephemeral'}}",
        {"1 sdk anthropic", "2 feature prompt_caching"},
    ),
    "assistants, batches, tuning, files, speech": (
        OPENAI
        + "client.beta.threads.create()\nclient.batches.create()\nclient.fine_tuning.jobs.create(model='gpt-4o')\n"
        "client.files.create()\nclient.audio.speech.create(model='tts-1', response_format='pcm')\n"
        "client.audio.transcriptions.create(model='whisper-1')",
        {
            "1 sdk openai",
            "2 client OpenAI",
            "3 feature assistants",
            "4 feature batches",
            "5 feature fine_tuning",
            "5 model gpt-4o",
            "6 feature files",
            "7 feature speech",
            "7 model tts-1",
            "8 feature transcription",
            "8 model whisper-1",
        },
    ),
    "LangChain": (
        "from langchain_openai import ChatOpenAI\nm = ChatOpenAI(model='gpt-4o', streaming=True)\nm.bind_tools([])\n"
        "m.with_structured_output(S)",
        {
            "1 sdk langchain-openai",
            "2 client ChatOpenAI",
            "2 model gpt-4o",
            "2 feature streaming",
            "3 feature tools",
            "4 feature json_schema",
        },
    ),
    "LlamaIndex": (
        "from llama_index.llms.openai import OpenAI\nm = OpenAI(model='gpt-4o')\nm.stream_chat(x)",
        {"1 sdk llama-index-openai", "2 client OpenAI", "2 model gpt-4o", "3 feature streaming"},
    ),
    "litellm": (
        "import litellm\nlitellm.completion(model='azure/gpt-4o', tools=[])",
        {"1 sdk litellm", "2 feature chat", "2 model gpt-4o", "2 feature tools"},
    ),
    "instructor": (
        "import instructor\nc = instructor.from_provider('openai/gpt-4o')\nc.chat.completions.create(response_model=M)",
        {
            "1 sdk instructor",
            "2 feature chat",
            "2 feature tools",
            "2 model gpt-4o",
            "3 feature chat",
            "3 feature tools",
        },
    ),
    "OpenAI's agents": (
        "from agents import Agent, WebSearchTool, function_tool\n@function_tool\ndef f(): ...\n"
        "Agent(model='gpt-5', tools=[f, WebSearchTool()], output_type=T)",
        {
            "1 sdk openai-agents",
            "2 feature tools",
            "4 feature responses",
            "4 feature tools",
            "4 feature web_search",
            "4 feature json_schema",
            "4 model gpt-5",
        },
    ),
    "pydantic-ai": (
        "from pydantic_ai import Agent\na = Agent('openai:gpt-4o', output_type=T)",
        {"1 sdk pydantic-ai", "2 feature chat", "2 feature json_schema", "2 model gpt-4o"},
    ),
    "Bedrock": (
        "import boto3\nc = boto3.client('bedrock-runtime')\nc.converse(modelId='us.anthropic.claude-sonnet-4-5-v1:0')",
        {"2 client bedrock-runtime", "3 feature bedrock", "3 model us.anthropic.claude-sonnet-4-5-v1:0"},
    ),
    "Cohere": (
        "import cohere\nc = cohere.ClientV2()\nc.rerank(model='rerank-v3.5', query=q)",
        {"1 sdk cohere", "2 client ClientV2", "3 feature rerank", "3 model rerank-v3.5"},
    ),
    "Mistral": (
        "from mistralai import Mistral\nc = Mistral()\nc.chat.complete(model='mistral-large-latest')",
        {"1 sdk mistral", "2 client Mistral", "3 feature mistral", "3 model mistral-large-latest"},
    ),
    "Vertex AI": (
        "from vertexai.generative_models import GenerativeModel\nm = GenerativeModel('gemini-2.5-pro')",
        {"1 sdk vertexai", "2 client GenerativeModel", "2 model gemini-2.5-pro"},
    ),
    "plain HTTP": (
        "import requests\nrequests.post('https://api.openai.com/v1/chat/completions',\n"
        "  json={'model': 'gpt-4o', 'messages': m,\n  'tools': t})",
        {"2 endpoint api.openai.com/v1/chat/completions", "2 feature chat", "3 model gpt-4o", "4 feature tools"},
    ),
    "plain HTTP, put together": (
        "import httpx\nBASE = 'https://api.openai.com/v1'\nhttpx.post(f'{BASE}/embeddings')",
        {"2 endpoint api.openai.com/v1", "3 feature embeddings"},
    ),
    "the environment": (
        "import os\nos.environ['OPENAI_API_KEY']\nos.getenv('OPENAI_BASE_URL')",
        {"2 variable OPENAI_API_KEY", "3 variable OPENAI_BASE_URL"},
    ),
    "settings": (
        "class S(BaseSettings):\n    OPENAI_API_KEY: str",
        {"2 variable OPENAI_API_KEY"},
    ),
    "a library that the application hands on": (
        "from app.llm import litellm\nlitellm.transcription(model='whisper-1')",
        {"2 feature transcription", "2 model whisper-1"},
    ),
}

NOTHING = {
    "an application's own module": "from mem0.openai import OpenAI\nOpenAI()",
    "a host of open models": (
        "from groq import Groq\nc = Groq()\nc.chat.completions.create(model='llama-3.3-70b', tools=[])"
    ),
    "a server of open models": "from ollama import Client\nClient().chat(model='llama3.1')",
    "messages of another kind": "from twilio.rest import Client\nClient().messages.create(body='x', to='y')",
    "a document's address": "x = 'https://platform.openai.com/docs/api-reference'",
    "an open model": "M = 'gpt-oss-120b'\nN = 'gpt-neo-2.7b'\nG = 'gpt2'",
    "look-alikes": "A = 'claude-code'\nB = 'gpt-tokenizer'\nC = 'gpt-4-report.json'\nD = 'command'\nE = 'o1'",
    "a scope": "S = 'https://cognitiveservices.azure.com/.default'",
    "a comment": "# gpt-4o with OPENAI_API_KEY at https://api.openai.com/v1\nx = 1",
    "a docstring": "def f():\n    '''Uses gpt-4o.'''",
    "a sentence": "raise ValueError('Please set OPENAI_API_KEY to use gpt-4o, see https://api.openai.com/v1')",
    "the start of a name": "x.startswith('gpt-')",
    "a word": "provider = 'openai'",
    "a table of a database": "db['embeddings'].create({})\ndb['responses'].create({'type': 'image', 'source': 1})",
    "an address in a docstring": '"""\nAsks\nhttps://openrouter.ai/api/v1/models\n"""',
}


@pytest.mark.parametrize("case", FOUND)
def test_it_is_found(case: str, tmp_path: Path) -> None:
    source, expected = FOUND[case]
    inventory = scanned(tmp_path, app_py=source)
    assert told(inventory.findings) == expected
    assert inventory.unread == []


@pytest.mark.parametrize("case", NOTHING)
def test_nothing_is_found(case: str, tmp_path: Path) -> None:
    assert told(scanned(tmp_path, app_py=NOTHING[case]).findings) == set()


def test_a_feature_knows_its_model(tmp_path: Path) -> None:
    source = OPENAI + "M = 'gpt-4o'\nclient.chat.completions.create(model=M, tools=[])"
    features = [each for each in scanned(tmp_path, app_py=source).findings if each.kind == "feature"]
    assert {(each.value, each.model) for each in features} == {("chat", "gpt-4o"), ("tools", "gpt-4o")}


@pytest.mark.parametrize("no", ["stream=False", "tools=None", "response_format={'type': 'text'}", "logprobs=False"])
def test_a_parameter_that_says_no_uses_nothing(no: str, tmp_path: Path) -> None:
    source = OPENAI + f"client.chat.completions.create({no})"
    assert told(scanned(tmp_path, app_py=source).findings) == {"1 sdk openai", "2 client OpenAI", "3 feature chat"}


def test_a_client_that_points_elsewhere_is_settled(tmp_path: Path) -> None:
    source = (
        "from openai import OpenAI\nc = OpenAI(base_url='http://gateway:8000/v1')\n"
        "c.chat.completions.create(model='qwen', tools=[])\n"
    )
    inventory = scanned(tmp_path, app_py=source)
    assert told(inventory.findings) == {"1 sdk openai", "2 client OpenAI"}
    (client,) = [each for each in inventory.findings if each.kind == "client"]
    assert (client.settled, client.change) == (True, "")


@pytest.mark.parametrize(
    ("made", "change"),
    [
        ("OpenAI()", "Set OPENAI_BASE_URL or pass `base_url`: the gateway's URL with /v1."),
        ("OpenAI(base_url='https://api.openai.com/v1')", "Set `base_url` to the gateway's URL."),
        ("OpenAI(base_url=URL)", "Give `base_url` the gateway's URL where its value is set."),
        ("AzureOpenAI()", "Use the class OpenAI with `base_url`"),
    ],
)
def test_the_change_names_its_place(made: str, change: str, tmp_path: Path) -> None:
    inventory = scanned(tmp_path, app_py=f"from openai import OpenAI, AzureOpenAI\nc = {made}")
    (client,) = [each for each in inventory.findings if each.kind == "client"]
    assert client.change.startswith(change)


def test_prose_is_a_mention(tmp_path: Path) -> None:
    source = "'''Ask gpt-4o.'''\n# or claude-sonnet-4-5\nx = 'needs OPENAI_API_KEY'\n"
    assert scanned(tmp_path, app_py=source).mentions == 3
    found = scanned(tmp_path, app_py=source, mentions=True).findings
    assert {each.confidence.value for each in found} == {"mention"}
    assert told(found) == {"1 model gpt-4o", "2 model claude-sonnet-4-5", "3 variable OPENAI_API_KEY"}


def test_what_does_not_parse_is_told_and_searched(tmp_path: Path) -> None:
    inventory = scanned(tmp_path, app_py="from openai import OpenAI\nprint 'x'\nM = \"gpt-4o\"\n")
    assert told(inventory.findings) == {"1 sdk openai", "3 model gpt-4o"}
    (unread,) = inventory.unread
    assert (unread.file, unread.scanned) == ("app.py", True)
    assert "line 2" in unread.reason


def test_names_of_ones_own_count(tmp_path: Path) -> None:
    source = "DEPLOYMENT = 'Prod-Chat'\n"
    assert told(scanned(tmp_path, app_py=source, models=("prod-chat",)).findings) == {"1 model Prod-Chat"}
    assert told(scanned(tmp_path, app_py=source).findings) == set()
