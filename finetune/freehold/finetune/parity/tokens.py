"""Token ids as text, for sentences."""

from collections.abc import Callable
from pathlib import Path


def decoder(folder: Path) -> Callable[[int], str]:
    """Text of single tokens by a model's `tokenizer.json`; without one, their ids."""
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        return str
    tokenizer = Tokenizer.from_file(str(path))
    return lambda token: str(tokenizer.decode([token], skip_special_tokens=False))
