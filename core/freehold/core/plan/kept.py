"""What layers of one kind keep of a sequence, in blocks as an engine gives them out (vllm/v1/kv_cache_interface.py)."""

from dataclasses import dataclass
from math import ceil

BLOCK_TOKENS = 16


@dataclass(frozen=True)
class Kept:
    """What layers of one kind keep for a sequence: entries of one token or of several, or one state."""

    kind: str
    """`full`, `sliding`, `latent`, `sparse`, `compressed`, `index`, `tail`, `state` or, of several kinds, `packed`."""
    layers: int
    numbers: int = 0
    """In one layer for one entry, of the cache's type: keys and values of all heads together."""
    fixed_bytes: int = 0
    """In one layer for one entry, or for the whole sequence (`state`), whatever the cache's type."""
    heads: int = 1
    """What tensor parallelism can share out; the rest every GPU has."""
    window: int | None = None
    """Tokens that are kept; None keeps them all."""
    tokens: int = 1
    """That an entry stands for."""
    selected: int | None = None
    """Entries that a step reads at most; None reads all."""
    compared: int = 0
    """Of an `index`: numbers of all queries that its entries are compared with; 0 where the layer's heads attend."""
    block: int | None = None
    """Tokens of a block, where the layer has a size of its own; None takes the engine's."""
    aligned: int = 1
    """A block in one layer takes a multiple of so many bytes."""

    def sequence_bytes(
        self, tokens: int, number_bytes: int, tensor_parallel: int, *, in_flight: int = 0, block: int = BLOCK_TOKENS
    ) -> int:
        """On each GPU, in whole blocks; `block` is the engine's.

        With tokens `in_flight`, what vLLM wants to be free before it takes a sequence on: a window's blocks are freed
        only when the steps that were scheduled are over (SlidingWindowSpec.max_admission_blocks_per_request).
        """
        share = ceil(self.heads / tensor_parallel) / self.heads
        if self.kind == "state":
            return round(self.layers * self.fixed_bytes * share)
        size = self.block or block
        blocks = ceil(tokens / size)
        if self.window is not None:
            # One more, since a window need not begin where a block does.
            blocks = ceil(min(tokens, self.window - 1 + in_flight) / size) + 1
        return round(self.layers * blocks * self.block_bytes(number_bytes, size) * share)

    def block_bytes(self, number_bytes: int, block: int) -> int:
        """Of one layer, all heads."""
        content = block // self.tokens * (self.numbers * number_bytes + self.fixed_bytes)
        return ceil(content / self.aligned) * self.aligned

    def read_bytes(self, tokens: int, number_bytes: int, tensor_parallel: int) -> float:
        """That each GPU reads of a sequence of so many tokens to write the next one."""
        share = ceil(self.heads / tensor_parallel) / self.heads
        entries = 1 if self.kind == "state" else min(tokens / self.tokens, self._limit)
        return self.layers * entries * (self.numbers * number_bytes + self.fixed_bytes) * share

    def attended(self, tokens: int) -> float:
        """Entries that a token of a prompt of so many is held against in one layer, on average over the prompt."""
        if self.kind in ("state", "tail"):
            return 0.0
        entries = tokens / self.tokens
        limit = min(self._limit, entries)
        return limit - limit * limit / (2 * entries)

    @property
    def _limit(self) -> float:
        limits = (self.window and self.window / self.tokens, self.selected)
        return min((each for each in limits if each), default=float("inf"))
