"""Settings, dependencies, other languages, notebooks and pages."""

import json
from pathlib import Path

import pytest
from fixtures.scans import told

from freehold.evaluate.scan.scanning import ScanRequest, scan

CASES = {
    ".env": (
        "OPENAI_API_KEY=sk-1\nOPENAI_BASE_URL=https://api.openai.com/v1\nMODEL=gpt-4o # not gpt-4\n#X=gpt-5",
        {
            "1 variable OPENAI_API_KEY",
            "2 variable OPENAI_BASE_URL",
            "2 endpoint api.openai.com/v1",
            "3 model gpt-4o",
        },
    ),
    "values.yaml": (
        "model: o1\nmodels:\n  - claude-sonnet-4-5\n  - gpt-oss-120b\nabout: we like gpt-4o\nhost: api.openai.com\n"
        "args: [--model, gpt-4.1]",
        {"1 model o1", "3 model claude-sonnet-4-5", "6 endpoint api.openai.com"},
    ),
    "deployment.yaml": (
        'env:\n  - name: AZURE_OPENAI_ENDPOINT\n    value: {{ .Values.url }}\n  - {name: M, value: "gpt-4o"}',
        {"2 variable AZURE_OPENAI_ENDPOINT", "4 model gpt-4o"},
    ),
    "docker-compose.yml": (
        "services:\n  a:\n    environment:\n      MODEL: ${MODEL:-gpt-4o-mini}\n      KEY: ${ANTHROPIC_API_KEY}",
        {"4 model gpt-4o-mini", "5 variable ANTHROPIC_API_KEY"},
    ),
    "Dockerfile": (
        "FROM python\nENV OPENAI_MODEL=gpt-4o\nCMD app --model gpt-4.1",
        {"2 variable OPENAI_MODEL", "2 model gpt-4o", "3 model gpt-4.1"},
    ),
    "config.toml": ('[llm]\nmodel = "gpt-4o"', {"2 model gpt-4o"}),
    "config.json": ('{\n "model": "o3",\n "list": ["gpt-4o"],\n "o1": 1\n}', {"2 model o3", "3 model gpt-4o"}),
    "requirements.txt": (
        "openai>=1.0\nlangchain-openai[all]==0.2 # x\nrequests\nopenai-whisper\n# anthropic\nLiteLLM",
        {"1 sdk openai", "2 sdk langchain-openai", "6 sdk litellm"},
    ),
    "pyproject.toml": (
        '[project]\ndependencies = [\n "openai>=1",\n "attrs",\n]\n[tool.x]\nextra = ["anthropic"]\n'
        '[tool.poetry.dependencies]\ncohere = "^5"',
        {"3 sdk openai", "9 sdk cohere"},
    ),
    "package.json": (
        '{"name": "ai",\n "dependencies": {\n  "openai": "^4",\n  "@ai-sdk/openai": "latest",\n  "left-pad": "1"}}',
        {"3 sdk openai", "4 sdk ai-sdk-openai"},
    ),
    "setup.py": ("setup(install_requires=['openai>=1', 'x'])", {"1 sdk openai"}),
    "go.mod": ("require github.com/sashabaranov/go-openai v1", {"1 sdk openai"}),
    "main.go": (
        'import (\n\topenai "github.com/sashabaranov/go-openai"\n)\n// gpt-4\nvar m = "gpt-4o"\n'
        'x := os.Getenv("OPENAI_API_KEY")',
        {"2 sdk openai", "5 model gpt-4o", "6 variable OPENAI_API_KEY"},
    ),
    "App.java": (
        'import com.openai.client.OpenAIClient;\n/*\n gpt-4\n*/\nString m = "gpt-4o"; // gpt-5',
        {"1 sdk openai", "5 model gpt-4o"},
    ),
    "App.cs": ('using Azure.AI.OpenAI;\nvar m = "gpt-4o";', {"1 sdk azure-openai", "2 model gpt-4o"}),
    "app.rb": ('require "openai"\nm = "gpt-4o" # gpt-5', {"1 sdk openai", "2 model gpt-4o"}),
    "app.php": ("<?php\nuse OpenAI;\n$m = 'gpt-4o';", {"2 sdk openai", "3 model gpt-4o"}),
    "main.rs": ('use async_openai::Client;\nlet m = "gpt-4o";', {"1 sdk openai", "2 model gpt-4o"}),
    "run.sh": (
        'curl https://api.openai.com/v1/models -H "Authorization: $OPENAI_API_KEY"',
        {"1 endpoint api.openai.com/v1/models", "1 variable OPENAI_API_KEY"},
    ),
    "a.svelte": (
        '<p>gpt-4o</p>\n<script lang="ts">\nimport OpenAI from "openai";\nnew OpenAI();\n</script>',
        {"3 sdk openai", "4 client OpenAI"},
    ),
    "readme.md": ("Use gpt-4o with OPENAI_API_KEY.", set()),
    "poetry.lock": ('name = "openai"\nmodel = "gpt-4o"', set()),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_file_says(name: str, tmp_path: Path) -> None:
    text, expected = CASES[name]
    (tmp_path / name).write_text(text)
    inventory = scan(ScanRequest(tmp_path))
    assert told(inventory.findings) == expected
    assert inventory.unread == []


def test_a_notebook_is_read_at_its_own_lines(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["gpt-4o"]},
        {"cell_type": "code", "source": ["!pip install openai\n", "from openai import OpenAI\n", "c = OpenAI()"]},
        {"cell_type": "code", "source": ['c.chat.completions.create(model="gpt-4o")']},
    ]
    path = tmp_path / "n.ipynb"
    path.write_text(json.dumps({"cells": cells}, indent=1))
    lines = path.read_text().splitlines()
    found = scan(ScanRequest(tmp_path)).findings
    assert {each.value for each in found} == {"openai", "OpenAI", "chat", "gpt-4o"}
    assert {each.value for each in found if each.value in lines[each.line - 1]} == {
        "openai",
        "OpenAI",
        "chat",
        "gpt-4o",
    }


def test_a_notebook_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "n.ipynb").write_text('{"cells": [{"cell_type": "code", "source": ["m = 1"]}, "gpt-4o"')
    (unread,) = scan(ScanRequest(tmp_path)).unread
    assert "no notebook" in unread.reason
