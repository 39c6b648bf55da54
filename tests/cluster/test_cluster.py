"""The chart in whatever cluster is at hand, and the journey itself on stand-ins."""

import json
import os
import stat
import time
from pathlib import Path

import pytest
from fixtures.chart.binaries import RELEASES, Release, binary
from fixtures.chart.rendering import Packaged

from tests.cluster.journey import travel
from tests.cluster.reaching import Cluster, current_context, unreachable, user_config

CONFIG = user_config()  # before each test gets a home of its own


@pytest.mark.cluster
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.version)
def test_the_chart_lives(chart: Packaged, release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    if CONFIG:
        monkeypatch.setenv("KUBECONFIG", CONFIG)
    kubectl = binary(release, "kubectl")
    if reason := unreachable(kubectl):
        pytest.skip(reason)
    namespace = f"freehold-test-{int(time.time())}"
    travel(Cluster(kubectl, binary(release), current_context(kubectl), namespace), chart.folder, [], print, 3600)


def test_without_a_cluster_the_reason_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert unreachable(binary(RELEASES[-1], "kubectl")) == (
        "no cluster: kubectl has no current context (KUBECONFIG, ~/.kube/config)"
    )
    (tmp_path / "config").write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: a}}]\n"
        "clusters: [{name: a, cluster: {server: 'http://127.0.0.1:9'}}]\n"
    )
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    assert unreachable(binary(RELEASES[-1], "kubectl")) == "no cluster: the API server of context a does not answer"


KUBECTL = """#!/bin/sh
echo "$@" >> {log}
case "$*" in
  *"get deployments"*) if [ -f {gone} ]; then echo '{{"items": []}}'; else cat {deployments}; fi ;;
  *"get pvc -l"*"json"*)
    if [ -f {gone} ]; then echo '{{"items": [{kept}]}}'; else echo '{{"items": [{claim}]}}'; fi ;;
  *"-o json"*) echo '{{"items": []}}' ;;
esac
"""
HELM = """#!/bin/sh
echo "helm $@" >> {log}
case "$*" in *" uninstall "*) touch {gone} ;; {failing} esac
"""
READY = '{"updatedReplicas": 1, "readyReplicas": 1, "observedGeneration": 1}'
CLAIM = '{"metadata": {"name": "store"}}'


def _cluster(place: Path, *, status: str = READY, failing: str = "", kept: str = CLAIM) -> Cluster:
    deployments = place / "deployments.json"
    deployment = {
        "metadata": {"name": "gateway", "generation": 1},
        "spec": {"replicas": 1},
        "status": json.loads(status),
    }
    deployments.write_text(json.dumps({"items": [deployment]}))
    known = {
        "log": place / "log",
        "gone": place / "gone",
        "deployments": deployments,
        "claim": CLAIM,
        "kept": kept,
        "failing": failing,
    }
    for name, text in (("kubectl", KUBECTL), ("helm", HELM)):
        (place / name).write_text(text.format(**known))
        (place / name).chmod((place / name).stat().st_mode | stat.S_IXUSR)
    return Cluster(place / "kubectl", place / "helm", "stand-in", "ns")


def _steps(place: Path) -> list[str]:
    lines = (place / "log").read_text().splitlines()
    return [line.split()[5] for line in lines if line.startswith("helm ")]


def test_the_journey_has_every_step(tmp_path: Path) -> None:
    travel(_cluster(tmp_path), tmp_path, [], print, 0)
    assert _steps(tmp_path) == ["template", "install", "test", "upgrade", "test", "rollback", "test", "uninstall"]
    log = (tmp_path / "log").read_text()
    assert "enforce=restricted" in log and "--dry-run=server --validate=strict" in log
    assert "delete namespace ns" in log.splitlines()[-1]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            {"status": '{"updatedReplicas": 1, "readyReplicas": 0, "observedGeneration": 1}'},
            "after 0 s not ready: gateway",
        ),
        (
            {"status": '{"updatedReplicas": 1, "readyReplicas": 1, "observedGeneration": 0}'},
            "after 0 s not ready: gateway",
        ),
        ({"failing": '*" test "*) echo no answer >&2; exit 1 ;;'}, "no answer"),
        ({"failing": '*" rollback "*) echo forbidden >&2; exit 1 ;;'}, "forbidden"),
        ({"kept": ""}, "volumes went with the release: store"),
    ],
)
def test_a_step_that_fails_is_told_and_cleaned_up(tmp_path: Path, wrong: dict[str, str], said: str) -> None:
    with pytest.raises(RuntimeError, match=said):
        travel(_cluster(tmp_path, **wrong), tmp_path, [], print, 0)
    assert "delete namespace ns" in (tmp_path / "log").read_text().splitlines()[-1]


def test_the_users_config_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/somewhere")
    assert user_config() == os.environ["KUBECONFIG"]
