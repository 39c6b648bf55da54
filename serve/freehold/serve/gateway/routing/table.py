"""Plans requests: scopes, weights, the canary, fallbacks, and who may leave the house."""

from collections.abc import Callable, Iterable, Mapping

from freehold.serve.config import Route
from freehold.serve.engines.engine import Engine
from freehold.serve.gateway.contemplation.council import make_council
from freehold.serve.gateway.contemplation.wish import read_wish
from freehold.serve.gateway.endpoints import Dialect, Endpoint
from freehold.serve.gateway.errors import NotAllowed, UnknownModel
from freehold.serve.gateway.principal import Principal
from freehold.serve.gateway.request import RelayedRequest
from freehold.serve.gateway.routing.canary import CanaryTrial
from freehold.serve.gateway.routing.plan import Plan, RouteSpec
from freehold.serve.gateway.routing.split import choose, falls_in


def unknown_model(name: str, known: Iterable[str]) -> UnknownModel:
    """The error for a name that nothing goes by; it lists those there are."""
    there = ", ".join(known)
    way = f"Models: {there}; a route can lead this name to one of them." if there else "Models: none."
    return UnknownModel(f"The model '{name}' does not exist", next_step=way)


class RouteTable:
    """Every name that a client may send. `upstreams` are the closed ones, by the name that routes give them."""

    def __init__(
        self,
        engines: Mapping[str, Engine],
        routes: Mapping[str, Route] | None = None,
        upstreams: Mapping[str, Engine] | None = None,
        on_rollback: Callable[[str, str], None] = lambda route, reason: None,
    ) -> None:
        self._engines = engines
        known = {**(upstreams or {}), **engines}
        self.routes = {name: _spec(name, route, known, on_rollback) for name, route in (routes or {}).items()}

    def names(self, principal: Principal) -> list[str]:
        """What this key may send as "model"."""
        models = [name for name in self._engines if principal.may_use_model(name)]
        return models + [name for name in self.routes if principal.may_use_route(name)]

    def plan(self, request: RelayedRequest, principal: Principal, caller: str) -> Plan:
        """Who may answer. `caller` stands for a caller without a key. Raises UnknownModel, NotAllowed."""
        name = request.model
        spec = self.routes.get(name)
        if spec is None:
            engine = self._engines.get(name)
            if engine is None or not principal.may_use_model(name):
                raise self._unknown(name, principal)
            if engine.leaves and not principal.may_leave:
                raise _must_stay(name)
            return Plan((engine,))
        if not principal.may_use_route(name):
            raise self._unknown(name, principal)
        if spec.council is not None:
            return _contemplate(spec, request, principal)
        return _plan(spec, request, principal, caller)

    def _unknown(self, name: str, principal: Principal) -> Exception:
        known = self.names(principal)
        if name in self._engines or name in self.routes:
            return NotAllowed(
                f"This key may not use '{name}'",
                why=f"its scope is {', '.join(known) or 'nothing'}",
                next_step="Ask for another scope: `freehold keys update`.",
                code="model_not_allowed",
            )
        return unknown_model(name, known)


def _spec(name: str, route: Route, known: Mapping[str, Engine], on_rollback: Callable[[str, str], None]) -> RouteSpec:
    trial = None
    if route.canary:
        trial = CanaryTrial(name, route.canary, on_rollback=lambda reason: on_rollback(name, reason))
    return RouteSpec(
        name=name,
        config=route,
        targets=tuple((known[target], weight) for target, weight in route.targets.items() if weight),
        fallback=tuple(known[target] for target in route.fallback),
        canary=known[route.canary.target] if route.canary else None,
        shadow=known[route.shadow.target] if route.shadow else None,
        trial=trial,
        council=make_council(route.contemplate, known) if route.contemplate else None,
    )


def _plan(spec: RouteSpec, request: RelayedRequest, principal: Principal, caller: str) -> Plan:
    sticky = _sticky(spec.config, request, principal, caller)
    targets = [(engine, weight) for engine, weight in spec.targets if _may_take(engine, principal, request.endpoint)]
    fallback = [engine for engine in spec.fallback if _may_take(engine, principal, request.endpoint)]
    first = []
    if targets:
        first = [choose(targets, [engine.name for engine, _ in targets], spec.name, sticky)]
    newcomer = spec.canary if spec.trial and not spec.trial.is_rolled_back else None
    if newcomer and _may_take(newcomer, principal, request.endpoint) and _is_on_trial(spec, sticky):
        first = [newcomer, *first]  # the choice without it is its first fallback
    engines = tuple(dict.fromkeys([*first, *fallback]))
    if not engines:
        raise _must_stay(spec.name) if not principal.may_leave else _wrong_api(spec.name, request.endpoint)
    shadow = spec.shadow if spec.shadow and _may_take(spec.shadow, principal, request.endpoint) else None
    return Plan(engines, spec, shadow)


def _contemplate(spec: RouteSpec, request: RelayedRequest, principal: Principal) -> Plan:
    assert spec.council is not None, "the route has a council"
    read_wish(request.endpoint, request.document, spec.name)
    council = spec.council.staying(principal)
    if council is None:
        raise _must_stay(spec.name)
    return Plan(council.engines, spec, council=council)


def _is_on_trial(spec: RouteSpec, sticky: str) -> bool:
    return spec.trial is not None and falls_in(spec.trial.config.percent, f"canary\0{spec.name}", sticky)


def _sticky(route: Route, request: RelayedRequest, principal: Principal, caller: str) -> str:
    if route.sticky == "none":
        return ""
    user = request.document.get("user") if route.sticky == "user" else None
    return user if isinstance(user, str) and user else principal.key_id or caller


def _may_take(engine: Engine, principal: Principal, endpoint: Endpoint) -> bool:
    return (principal.may_leave or not engine.leaves) and engine.speaks(endpoint.dialect is Dialect.ANTHROPIC)


def _must_stay(name: str) -> NotAllowed:
    return NotAllowed(
        f"This key's requests may not leave the house, and '{name}' would take them out",
        why="the key is labelled must-stay",
        next_step="Use a model that runs here, or a key labelled may-leave.",
        code="must_stay",
    )


def _wrong_api(name: str, endpoint: Endpoint) -> NotAllowed:
    return NotAllowed(
        f"Nothing that '{name}' leads to answers {endpoint.path}",
        why="its upstream has another API",
        next_step="Use another path, or give the route a target that has this one.",
        code="path_not_served",
    )
