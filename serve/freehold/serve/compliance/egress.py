"""What may leave by a deployment, and what it keeps: upstreams, keys, media, recordings."""

import time
from collections.abc import Iterator, Mapping

from freehold.core.errors import FreeholdError
from freehold.core.settings import Settings
from freehold.serve.compliance import document as page
from freehold.serve.config import DeploymentConfig, RemoteEngine
from freehold.serve.state.database import default_url, elsewhere, open_database
from freehold.serve.state.keys import KeyRecord, KeyStore


def show_egress(config: DeploymentConfig, settings: Settings, environ: Mapping[str, str]) -> page.Egress:
    """From the config, and from the database where that is to be had: it is read, never made."""
    keys, problem = _leaving_keys(config, settings, environ)
    return page.Egress(
        exits=tuple(_exits(config)),
        asks_for_keys=config.gateway.auth == "keys",
        keys=keys,
        keys_problem=problem,
        media_domains=config.gateway.media.allowed_domains,
        recordings=tuple(
            page.Recorded(name, route.record.percent, route.record.redact, route.record.retention_days)
            for name, route in config.routes.items()
            if route.record
        ),
    )


def _exits(config: DeploymentConfig) -> Iterator[page.Exit]:
    for name, upstream in config.upstreams.items():
        reached = (route for route, what in config.routes.items() if any(_is_of(t, name) for t in what.leads_to()))
        yield page.Exit(name, upstream.base_url, upstream.api, leaves=True, routes=tuple(reached))
    for name, model in config.models.items():
        if isinstance(model.engine, RemoteEngine):
            reached = (route for route, what in config.routes.items() if name in what.leads_to())
            yield page.Exit(name, model.engine.base_url, "openai", model.engine.leaves, (name, *reached))


def _is_of(target: str, upstream: str) -> bool:
    return target.partition("/")[0] == upstream and "/" in target


def _leaving_keys(
    config: DeploymentConfig, settings: Settings, environ: Mapping[str, str]
) -> tuple[tuple[page.LeavingKey, ...] | None, str]:
    """Keys that are valid now and may leave, or why they are not known."""
    url = config.gateway.database or default_url(settings.home)
    if config.gateway.auth != "keys":
        return (), ""
    if problem := elsewhere(url, environ):
        return None, problem
    database = open_database(url, environ)
    try:
        now = time.time()
        records = [one for one in KeyStore(database).list() if one.label == "may-leave" and one.status(now) == "active"]
    except FreeholdError as error:
        return None, str(error)
    finally:
        database.close()
    return tuple(page.LeavingKey(one.id, one.name, one.team, one.owner, _scope(one)) for one in records), ""


def _scope(key: KeyRecord) -> str:
    named = [*(key.models or ()), *(f"route {route}" for route in key.routes or ())]
    return ", ".join(named) if key.models is not None or key.routes is not None else "every model and route"
