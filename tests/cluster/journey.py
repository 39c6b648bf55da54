"""The chart's life in a cluster: install, ask, upgrade, ask, roll back, ask, uninstall; and what must be left."""

import time
from collections.abc import Callable
from pathlib import Path

from tests.cluster.reaching import Cluster

RELEASE = "journey"
SELECTOR = f"app.kubernetes.io/instance={RELEASE}"
RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"


def travel(cluster: Cluster, chart: Path, values: list[Path], tell: Callable[[str], None], timeout_s: int) -> None:
    """Raises RuntimeError, with what the cluster says, at the first step that fails."""
    options = [option for path in values for option in ("-f", str(path))]
    tell(f"namespace {cluster.namespace}, Pod Security restricted")
    cluster.ask("create", "namespace", cluster.namespace)
    try:
        cluster.ask("label", "namespace", cluster.namespace, RESTRICTED, "pod-security.kubernetes.io/warn=restricted")
        tell("every object is accepted")
        rendered = cluster.release("template", RELEASE, str(chart), "--validate", *options)
        cluster.ask("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=rendered)
        tell("install")
        cluster.release("install", RELEASE, str(chart), *options)
        _wait(cluster, tell, timeout_s)
        _ask(cluster, tell)
        tell("upgrade")
        cluster.release("upgrade", RELEASE, str(chart), *options, "--set", "gateway.podAnnotations.journey=upgraded")
        _wait(cluster, tell, timeout_s)
        _ask(cluster, tell)
        tell("rollback")
        cluster.release("rollback", RELEASE, "1")
        _wait(cluster, tell, timeout_s)
        _ask(cluster, tell)
        _uninstall(cluster, tell)
    finally:
        tell(f"delete namespace {cluster.namespace}")
        cluster.ask("delete", "namespace", cluster.namespace, "--wait=false", check=False)


def _wait(cluster: Cluster, tell: Callable[[str], None], timeout_s: int) -> None:
    """Until every Deployment has rolled out."""
    end = time.monotonic() + timeout_s
    while waiting := [
        each["metadata"]["name"] for each in cluster.objects("deployments", SELECTOR) if not _is_out(each)
    ]:
        if time.monotonic() > end:
            raise RuntimeError(f"after {timeout_s} s not ready: {', '.join(waiting)}\n{why_not(cluster)}")
        tell(f"  waiting for {', '.join(waiting)}")
        time.sleep(min(15, timeout_s))


def _is_out(deployment: dict[str, dict[str, int]]) -> bool:
    spec, status = deployment["spec"], deployment.get("status", {})
    wanted = spec.get("replicas", 1)
    seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    return seen and status.get("updatedReplicas", 0) == status.get("readyReplicas", 0) == wanted


def why_not(cluster: Cluster) -> str:
    """What an operator would look at: pods, refusals, and the last lines of whoever is not ready."""
    texts = [cluster.ask("get", "pods,jobs,pvc", "-l", SELECTOR, "-o", "wide", check=False)]
    texts.append(cluster.ask("get", "events", "--field-selector", "type=Warning", check=False))
    for pod in cluster.objects("pods", SELECTOR):
        name = pod["metadata"]["name"]
        texts.append(cluster.ask("logs", name, "--all-containers", "--prefix", "--tail=20", check=False))
    return "\n".join(texts)


def _ask(cluster: Cluster, tell: Callable[[str], None]) -> None:
    tell("helm test: a chat completion through the Service")
    try:
        cluster.release("test", RELEASE, "--logs", "--timeout", "15m")
    except RuntimeError as error:
        raise RuntimeError(f"{error}\n{why_not(cluster)}") from error
    left = [pod["metadata"]["name"] for pod in cluster.objects("pods", f"{SELECTOR},app.kubernetes.io/component=test")]
    if left:
        raise RuntimeError(f"the test's pod stays: {', '.join(left)}")


def _uninstall(cluster: Cluster, tell: Callable[[str], None]) -> None:
    claims = {each["metadata"]["name"] for each in cluster.objects("pvc", SELECTOR)}
    tell("uninstall")
    cluster.release("uninstall", RELEASE, "--wait", "--timeout", "20m")
    for kind in ("deployments", "services", "jobs", "configmaps", "networkpolicies"):
        if left := [each["metadata"]["name"] for each in cluster.objects(kind, SELECTOR)]:
            raise RuntimeError(f"{kind} stay after uninstall: {', '.join(left)}")
    if lost := claims - {each["metadata"]["name"] for each in cluster.objects("pvc", SELECTOR)}:
        raise RuntimeError(f"volumes went with the release: {', '.join(sorted(lost))}")
