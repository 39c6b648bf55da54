"""Before an engine sees a request: who sends it, and is there enough left of what the key may use.

A reservation is prompt tokens and the most that the answer may have. The prompt's are bounded by the body's length in
bytes: no token of a byte-level vocabulary is shorter, and what a template adds is less than JSON's own signs take. That
bound costs nothing; only where it does not fit is the engine asked to count (`POST /tokenize`). Files in the body count
by what the model makes of their size (`media/weighing.py`), not by their bytes.
"""

from typing import TYPE_CHECKING, Any

from freehold.serve.engines.engine import Engine
from freehold.serve.gateway.errors import OverLimit, UnknownKey
from freehold.serve.gateway.media import NO_WEIGHT, Weight
from freehold.serve.gateway.principal import ANONYMOUS, Principal
from freehold.serve.gateway.request import RelayedRequest
from freehold.serve.gateway.services import Services
from freehold.serve.gateway.tokenizing import Tokenizing

if TYPE_CHECKING:
    from freehold.serve.gateway.contemplation.council import Council
    from freehold.serve.gateway.quotas import Reservation

TEMPLATE_TOKENS = 256
"""Allowance for a template's own text: a default system prompt is the longest part of one."""
UNBOUNDED_OUTPUT = 16_384
"""Most that an answer is taken to have where neither the request nor the engine says."""
_COUNTLESS = 10**9
"""More than any context or batch has. JSON's numbers know no end, but floats and the writing of integers do."""

_OUTPUT_FIELDS = ("max_completion_tokens", "max_tokens", "max_output_tokens")


class Admission:
    """Decides on requests by what `services` hold."""

    def __init__(self, services: Services, tokenizing: Tokenizing) -> None:
        self._keyring = services.keyring
        self._quotas = services.quotas
        self._pricing = services.pricing
        self._tokenizing = tokenizing

    def known(self, headers: list[tuple[bytes, bytes]]) -> Principal | None:
        """Whose request it is; None where only a look at the database can tell. Raises Unauthorized."""
        if self._keyring is None:
            return ANONYMOUS
        try:
            return self._keyring.find(headers)
        except UnknownKey:
            return None

    async def identify(self, headers: list[tuple[bytes, bytes]]) -> Principal:
        """The same, with that look. Raises Unauthorized."""
        known = self.known(headers)
        if known is not None or self._keyring is None:
            return known or ANONYMOUS
        return await self._keyring.find_new(headers)

    async def identify_anew(self, headers: list[tuple[bytes, bytes]]) -> Principal:
        """The same, with that look in any case. Raises Unauthorized."""
        return ANONYMOUS if self._keyring is None else await self._keyring.find_anew(headers)

    def limits(self, principal: Principal) -> bool:
        """Whether what it uses is limited."""
        return self._quotas is not None and principal.is_limited

    async def reserve(
        self,
        principal: Principal,
        request: RelayedRequest,
        engine: Engine,
        *,
        weight: Weight = NO_WEIGHT,
        council: "Council | None" = None,
    ) -> "Reservation":
        """What the request may use, taken off the limits of a key that has some. Raises OverLimit.

        `weight` is that of the request's files, whose bytes say nothing of the prompt. A `council` answers instead of
        the engine.
        """
        assert self._quotas is not None, "there are limits"
        files = weight.tokens
        if files is None:
            files = max(weight.encoded_bytes, engine.context_tokens or UNBOUNDED_OUTPUT)
        bound = len(request.body) - weight.encoded_bytes + TEMPLATE_TOKENS + files
        need = self._need(request, engine, bound, council, weight.windows)
        reservation = self._quotas.reserve(principal.key_id, principal.limits, *need)
        if reservation is not None:
            return reservation
        try:
            return await self._quotas.acquire(principal.key_id, principal.limits, *need)
        except OverLimit as refusal:
            # vLLM counts files here as in a completion.
            exact = await self._tokenizing.count(request, engine) if refusal.kind == "tokens" else None
            if exact is None or exact >= bound:
                raise
        need = self._need(request, engine, exact, council)
        return await self._quotas.acquire(principal.key_id, principal.limits, *need)

    def _need(
        self, request: RelayedRequest, engine: Engine, prompt: int, council: "Council | None", windows: int = 1
    ) -> tuple[int, int]:
        """Tokens and money."""
        if council is not None:
            return self._need_of(council, request, prompt)
        tokens = most_tokens(request, engine, prompt, windows)
        prompt = min(prompt, tokens)
        money = 0 if self._pricing is None else self._pricing.forecast(engine.name, prompt, tokens - prompt)
        return tokens, money

    def _need_of(self, council: "Council", request: RelayedRequest, prompt: int) -> tuple[int, int]:
        needs = tuple(council.needs(prompt, answer_limit(request.document)))
        tokens = sum(need.prompt + need.completion for need in needs)
        if self._pricing is None:
            return tokens, 0
        forecast = self._pricing.forecast
        return tokens, sum(forecast(need.engine.name, need.prompt, need.completion) for need in needs)


def answer_limit(document: dict[str, Any]) -> int | None:
    """Most tokens that the request allows an answer; None if it does not say."""
    for name in _OUTPUT_FIELDS:
        if name in document and _is_count(document[name]):
            limit: int = document[name]
            return min(limit, _COUNTLESS)
    return None


def most_tokens(request: RelayedRequest, engine: Engine, prompt: int, windows: int = 1) -> int:
    """The most tokens that a request with a prompt of this length can use; `windows` are those of a file of sound."""
    if not request.endpoint.generates:
        return prompt
    if request.endpoint.hears:
        return prompt + windows * _most_heard(request, engine)
    document, context = request.document, engine.context_tokens
    limit = answer_limit(document)
    output = (context or UNBOUNDED_OUTPUT) if limit is None else limit
    answers = _answers(document) if "n" in document or "best_of" in document or "prompt" in document else 1
    tokens: int = prompt + output * answers
    # A prompt together with one answer fits the context, or the engine refuses it.
    return tokens if context is None else min(tokens, context * answers)


def _most_heard(request: RelayedRequest, engine: Engine) -> int:
    """Tokens of the answer to one window of a sound."""
    context = engine.context_tokens or UNBOUNDED_OUTPUT
    given = str(request.field("max_completion_tokens") or "")
    return min(int(given), context) if given.isascii() and given.isdigit() and len(given) < 10 else context


def _answers(document: dict[str, Any]) -> int:
    several: list[int] = [document[name] for name in ("n", "best_of") if _is_count(document.get(name))]
    return min(max([1, *several]), _COUNTLESS) * _prompts(document)


def _prompts(document: dict[str, object]) -> int:
    """`/v1/completions` takes several prompts, each with an answer of its own; a list of numbers is one of tokens."""
    prompt = document.get("prompt")
    return len(prompt) if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int) else 1


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
