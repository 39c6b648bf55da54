"""The prefix cache of a simulated engine: system prompts and what came after them in each session."""

from collections import OrderedDict


class PrefixCache:
    """Least recently used goes first, from its end: the rest of a prefix can still be found (as in vLLM)."""

    def __init__(self, block_tokens: int) -> None:
        self.tokens = 0
        self._block = block_tokens
        self._kept: OrderedDict[int, int] = OrderedDict()
        """Tokens by key; what was used last is at the end."""

    def begin(self, app: int, app_tokens: int, session: int, session_tokens: int) -> int:
        """Tokens that are found of a prompt. The system prompt stays; the session's own tokens now belong to the
        request that runs, and come back with `end`."""
        known = self._kept.get(app, 0)
        found = known
        mine = self._kept.pop(session, 0)
        self.tokens -= mine
        if known >= app_tokens:
            found += min(mine, session_tokens)
        else:
            self.tokens += app_tokens - known
            self._kept[app] = app_tokens
        self._kept.move_to_end(app)
        return found - found % self._block

    def end(self, app: int, app_tokens: int, session: int, session_tokens: int) -> None:
        """The request is over: its tokens stay until others need the room."""
        self.tokens += session_tokens - self._kept.pop(session, 0)
        self._kept[session] = session_tokens
        self.tokens += app_tokens - self._kept.get(app, 0)
        self._kept[app] = app_tokens
        self._kept.move_to_end(app)  # after the session: a chain is given up from its end

    def shrink(self, most: int) -> None:
        """Give up what has not been used for longest until no more than so many tokens are kept."""
        kept = self._kept
        while self.tokens > most and kept:
            key, tokens = next(iter(kept.items()))
            excess = self.tokens - most
            if tokens > excess:
                kept[key] = tokens - excess
                self.tokens -= excess
            else:
                del kept[key]
                self.tokens -= tokens
