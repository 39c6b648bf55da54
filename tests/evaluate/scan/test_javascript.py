"""What is understood of JavaScript and TypeScript, case by case."""

from pathlib import Path

import pytest
from fixtures.scans import scanned, told

OPENAI = 'import OpenAI from "openai";\nconst c = new OpenAI();\n'

FOUND = {
    "an import": ('import OpenAI, { toFile } from "openai";\nnew OpenAI();', {"1 sdk openai", "2 client OpenAI"}),
    "require": ('const { OpenAI } = require("openai");\nnew OpenAI();', {"1 sdk openai", "2 client OpenAI"}),
    "compiled": (
        'const o = __importDefault(require("openai"));\nnew o.default({});',
        {"1 sdk openai", "2 client OpenAI"},
    ),
    "a namespace": (
        'import * as A from "@anthropic-ai/sdk";\nnew A.Anthropic();',
        {"1 sdk anthropic", "2 client Anthropic"},
    ),
    "import()": ('const m = await import("openai");\nnew m.OpenAI();', {"1 sdk openai", "2 client OpenAI"}),
    "what is handed on": ('export * from "openai";', {"1 sdk openai"}),
    "a call": (
        OPENAI + 'await c.chat.completions.create({ model: "gpt-4o", stream: true,\n tools });',
        {
            "1 sdk openai",
            "2 client OpenAI",
            "3 feature chat",
            "3 model gpt-4o",
            "3 feature streaming",
            "4 feature tools",
        },
    ),
    "a record of parameters": (
        OPENAI + 'const p: any = { model: "gpt-4o" };\np.response_format = { type: "json_object" };\n'
        "c.chat.completions.create({ ...p });",
        {"1 sdk openai", "2 client OpenAI", "3 model gpt-4o", "4 feature json_mode", "5 feature chat"},
    ),
    "a field of the class": (
        'import OpenAI from "openai";\nclass A {\n  private c: OpenAI;\n'
        '  f() { return this.c.embeddings.create({ model: A.M }); }\n  static M = "text-embedding-3-large";\n}',
        {"1 sdk openai", "4 feature embeddings", "5 model text-embedding-3-large"},
    ),
    "a parameter property": (
        'import OpenAI from "openai";\nclass A {\n  constructor(private c: OpenAI) {}\n'
        "  f() { return this.c.beta.threads.runs.createAndPoll(); }\n}",
        {"1 sdk openai", "4 feature assistants"},
    ),
    "a default": (
        OPENAI + 'const M = process.env.OPENAI_MODEL ?? "gpt-4.1";\nc.responses.create({ model: M });',
        {
            "1 sdk openai",
            "2 client OpenAI",
            "3 variable OPENAI_MODEL",
            "3 model gpt-4.1",
            "4 feature responses",
        },
    ),
    "Vercel's SDK": (
        'import { openai } from "@ai-sdk/openai";\nimport { generateObject, embed } from "ai";\n'
        'generateObject({ model: openai("gpt-4o"), schema });\n'
        'embed({ model: openai.embedding("text-embedding-3-small") });',
        {
            "1 sdk ai-sdk-openai",
            "2 sdk ai-sdk",
            "3 feature chat",
            "3 feature json_schema",
            "3 feature responses",
            "3 model gpt-4o",
            "4 feature embeddings",
            "4 model text-embedding-3-small",
        },
    ),
    "LangChain": (
        'import { ChatOpenAI } from "@langchain/openai";\nconst m = new ChatOpenAI({ modelName: "gpt-4o" });\n'
        "m.withStructuredOutput(s);",
        {"1 sdk langchain-openai", "2 client ChatOpenAI", "2 model gpt-4o", "3 feature json_schema"},
    ),
    "Gemini": (
        'import { GoogleGenerativeAI } from "@google/generative-ai";\nconst g = new GoogleGenerativeAI(k);\n'
        'const m = g.getGenerativeModel({ model: "gemini-1.5-pro" });\nm.generateContent("x");',
        {
            "1 sdk google-genai",
            "2 client GoogleGenerativeAI",
            "3 model gemini-1.5-pro",
            "4 feature gemini",
        },
    ),
    "fetch": (
        'const U = "https://api.openai.com/v1";\n'
        "await fetch(`${U}/chat/completions`, { body: JSON.stringify({\n"
        '  model: "gpt-4o", messages,\n  tools }) });',
        {
            "1 endpoint api.openai.com/v1",
            "2 feature chat",
            "3 model gpt-4o",
            "4 feature tools",
        },
    ),
    "axios": (
        'axios.post("https://api.anthropic.com/v1/messages", { model: "claude-opus-4-6" });',
        {"1 endpoint api.anthropic.com/v1/messages", "1 feature messages", "1 model claude-opus-4-6"},
    ),
    "a picture": (
        OPENAI + 'const m = [{ type: "image_url", image_url: { url } }];',
        {"1 sdk openai", "2 client OpenAI", "3 feature vision"},
    ),
    "a type": ('type M = "gpt-4o" | "o1";', {"1 model gpt-4o", "1 model o1"}),
}

NOTHING = {
    "the package's own modules": 'import { OpenAIModel } from "./openai";\nnew OpenAIModel();',
    "the SDK's base": 'import { X } from "@ai-sdk/provider";',
    "comments": "// gpt-4o\n/* https://api.openai.com/v1 */",
    "a host of open models": 'import Groq from "groq-sdk";\nnew Groq().chat.completions.create({ model: "llama" });',
    "a word": 'const provider = "openai";',
}


@pytest.mark.parametrize("case", FOUND)
def test_it_is_found(case: str, tmp_path: Path) -> None:
    source, expected = FOUND[case]
    inventory = scanned(tmp_path, app_ts=source)
    assert told(inventory.findings) == expected
    assert inventory.unread == []


@pytest.mark.parametrize("case", NOTHING)
def test_nothing_is_found(case: str, tmp_path: Path) -> None:
    assert told(scanned(tmp_path, app_ts=NOTHING[case]).findings) == set()


@pytest.mark.parametrize("suffix", ["js", "jsx", "mjs", "cjs", "ts", "tsx", "mts", "cts"])
def test_every_dialect_is_read(suffix: str, tmp_path: Path) -> None:
    assert told(scanned(tmp_path, **{f"app_{suffix}": OPENAI}).findings) == {"1 sdk openai", "2 client OpenAI"}


def test_what_does_not_parse_is_told_and_searched(tmp_path: Path) -> None:
    inventory = scanned(tmp_path, app_ts=OPENAI + "const = {{{;\nconst m = 'gpt-4o'")
    assert {"1 sdk openai", "4 model gpt-4o"} <= told(inventory.findings)
    assert [(each.file, each.scanned) for each in inventory.unread] == [("app.ts", True)]


def test_a_base_url_is_called_as_the_language_calls_it(tmp_path: Path) -> None:
    (client,) = [each for each in scanned(tmp_path, app_ts=OPENAI).findings if each.kind == "client"]
    assert client.change == "Set OPENAI_BASE_URL or pass `baseURL`: the gateway's URL with /v1."
