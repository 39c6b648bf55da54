"""A closed provider's model, as a route names it: `<upstream>/<model>`. Nothing is sent to it but what routes send."""

import os
from collections.abc import Mapping

from freehold.core.errors import ConfigError
from freehold.serve.adapters.status import AdapterStatus
from freehold.serve.config import DeploymentConfig, Upstream
from freehold.serve.engines.engine import EngineState
from freehold.serve.senses import Senses


class UpstreamEngine:
    """Always ready, for all that is known here: asking it would already be leaving."""

    def __init__(self, name: str, model: str, config: Upstream, headers: Mapping[str, str]) -> None:
        self.name = name
        self.upstream_model = model
        self.base_url = config.base_url
        self.state = EngineState.READY
        self.detail = ""
        self.headers = headers
        self.fingerprint = self.artifact_id = ""  # what answers there is not ours to vouch for
        self.leaves = True
        self.context_tokens: int | None = None
        self.can_abort = False
        self.provider: str = config.api
        self.is_spread = False
        self.abilities: frozenset[str] | None = None
        self.senses: Senses | None = None
        self.adapter: AdapterStatus | None = None
        self._is_anthropic = config.api == "anthropic"

    def speaks(self, anthropic: bool) -> bool:
        return anthropic == self._is_anthropic

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


def build_upstreams(config: DeploymentConfig, environ: Mapping[str, str] = os.environ) -> dict[str, UpstreamEngine]:
    """One for each closed model that a route names. Raises ConfigError with every missing secret at once."""
    problems: list[str] = []
    engines: dict[str, UpstreamEngine] = {}
    for target in sorted({target for route in config.routes.values() for target in route.leads_to()}):
        upstream, _, model = target.partition("/")
        if target in config.models or target in config.adapters or upstream not in config.upstreams:
            continue
        try:
            headers = _headers(upstream, config.upstreams[upstream], environ)
        except ConfigError as error:
            problems += [problem for problem in error.problems if problem not in problems]
            continue
        engines[target] = UpstreamEngine(target, model, config.upstreams[upstream], headers)
    if problems:
        raise ConfigError("A secret is missing", problems)
    return engines


def _headers(name: str, config: Upstream, environ: Mapping[str, str]) -> dict[str, str]:
    if config.api_key_from is None:
        return {}
    variable = config.api_key_from.env
    secret = environ.get(variable)
    if not secret:
        problem = f"upstreams.{name}.apiKeyFrom.env: the environment variable {variable} is not set"
        raise ConfigError("A secret is missing", [problem], next_step=f"Run `export {variable}=…` first.")
    if config.api == "anthropic":
        return {"x-api-key": secret}
    return {"authorization": f"Bearer {secret}"}
