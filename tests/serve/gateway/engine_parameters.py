"""Print as JSON what vLLM's request models take and what its code reads; run with the engine's Python.

python tests/serve/gateway/engine_parameters.py
"""

import ast
import json
from pathlib import Path

import vllm
from vllm.entrypoints.anthropic.protocol import AnthropicCountTokensRequest, AnthropicMessagesRequest
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.entrypoints.openai.completion.protocol import CompletionRequest
from vllm.entrypoints.openai.responses.protocol import ResponsesRequest
from vllm.entrypoints.pooling.embed.protocol import EmbeddingCompletionRequest

MODELS = {
    "/v1/chat/completions": (ChatCompletionRequest, "openai/chat_completion"),
    "/v1/completions": (CompletionRequest, "openai/completion"),
    "/v1/embeddings": (EmbeddingCompletionRequest, "pooling"),
    "/v1/responses": (ResponsesRequest, "openai/responses"),
    "/v1/messages": (AnthropicMessagesRequest, "anthropic"),
    "/v1/messages/count_tokens": (AnthropicCountTokensRequest, "anthropic"),
}
REQUESTS = {"request", "anthropic_request", "self"}


def attributes_read(folder: Path) -> set[str]:
    """Attributes that the code takes from a request, but for what `from_request` only repeats in the answer."""
    read: set[str] = set()
    for path in folder.rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        repeating = [node for node in nodes if isinstance(node, ast.FunctionDef) and node.name == "from_request"]
        repeated = {id(node) for function in repeating for node in ast.walk(function)}
        read |= {name for node in nodes if (name := attribute(node)) and id(node) not in repeated}
    return read


def attribute(node: ast.AST) -> str | None:
    """`user` for the expression `request.user`."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in REQUESTS:
        return node.attr
    return None


def main() -> None:
    entrypoints = Path(vllm.__file__).parent / "entrypoints"
    paths = {
        path: {"fields": sorted(model.model_fields), "read": sorted(attributes_read(entrypoints / folder))}
        for path, (model, folder) in MODELS.items()
    }

    print(json.dumps({"version": vllm.__version__, "paths": paths}))


if __name__ == "__main__":
    main()
