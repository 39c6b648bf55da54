"""vLLM's endpoints for adapters, which only this machine reaches: the gateway relays neither of them.

https://docs.vllm.ai/en/stable/features/lora/ (served with VLLM_ALLOW_RUNTIME_LORA_UPDATING).
"""

from pathlib import Path
from typing import Any

import aiohttp

from freehold.core.errors import EngineError
from freehold.serve.engines.probing import error_text

LOAD_TIMEOUT_S = 600.0
"""A large adapter from a slow disk; an engine reads it between two steps of its batch."""


async def load(session: aiohttp.ClientSession, base_url: str, name: str, folder: Path) -> None:
    """Load an adapter's folder under a name that is free. Raises EngineError with the engine's reason."""
    await _post(session, f"{base_url}/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(folder)})


async def unload(session: aiohttp.ClientSession, base_url: str, name: str) -> None:
    """Forget a name; requests that run with it finish. Raises EngineError."""
    await _post(session, f"{base_url}/v1/unload_lora_adapter", {"lora_name": name})


async def _post(session: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> None:
    action = "load" if "lora_path" in body else "unload"
    try:
        async with session.post(url, json=body, timeout=aiohttp.ClientTimeout(total=LOAD_TIMEOUT_S)) as response:
            if response.status != 200:
                raise EngineError(
                    f"The engine does not {action} the adapter ({response.status})",
                    why=error_text(await response.text()),
                    next_step="Read its log.",
                )
    except (aiohttp.ClientError, TimeoutError) as error:
        raise EngineError(f"The engine did not {action} the adapter", why=str(error) or repr(error)) from error
