"""What the module tree of a causal language model says about its linear layers: no weights are needed."""

from collections.abc import Mapping
from typing import Any


class ModelTree:
    """Paths of linear layers by what they are for; `stacks` are experts held in one three-dimensional parameter."""

    def __init__(self, model: Any) -> None:
        from torch import nn

        self.model = model
        self.architecture = type(model).__name__
        modules: Mapping[str, nn.Module] = dict(model.named_modules())
        decoder, head = model.get_decoder(), model.get_output_embeddings()
        prefix = next(path for path, module in modules.items() if module is decoder)
        linear = [path for path, module in modules.items() if isinstance(module, nn.Linear)]
        self.routers = {path for path in modules if _is_router(path, modules)}
        self.head = {path for path in linear if modules[path] is head}
        self.outside = {path for path in linear if prefix and not path.startswith(f"{prefix}.")} - self.head
        """Of other parts than the decoder: vision and audio towers, and what joins them."""
        inside = set(linear) - self.head - self.outside - self.routers
        self.experts = {path for path in inside if ".experts." in path}
        self.plain = inside - self.experts
        self.stacks = sorted({".".join(n.split(".")[-2:]) for n, p in model.named_parameters() if _is_stack(n, p)})

    @property
    def experts_only(self) -> bool:
        """There is no linear layer in the decoder but those of experts."""
        return not self.plain


def _is_router(path: str, modules: Mapping[str, Any]) -> bool:
    parent, _, leaf = path.rpartition(".")
    return leaf in ("gate", "router") and f"{parent}.experts" in modules


def _is_stack(name: str, parameter: Any) -> bool:
    return bool(parameter.ndim == 3 and ".experts." in name)
