"""Every object of every scenario is one that the oldest and the newest supported API server take."""

import copy
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from fixtures.chart.binaries import NEW, OLD, Release
from fixtures.chart.rendering import CHART, SCENARIOS, Object, Packaged, scenario
from fixtures.chart.schemas import (
    NEWEST,
    OLDEST,
    core_problems,
    crd_folder,
    custom_problems,
    is_custom,
)

OLDEST_OF = {"dra": "1.32"}
"""What a scenario needs, where it is more than the chart does."""

LEAST_OBJECTS = 18
"""The smallest scenario has more: a render that lost its documents must not pass for a valid one."""


def test_what_the_chart_supports_is_what_is_tested() -> None:
    supported = yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"]
    assert supported == f">={OLDEST}.0-0"


@pytest.mark.parametrize("kubernetes", ["oldest", "newest"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_kubernetes_takes_every_object(chart: Packaged, name: str, kubernetes: str) -> None:
    version = NEWEST if kubernetes == "newest" else OLDEST_OF.get(name, OLDEST)
    render = chart.render(name, kubernetes=f"{version}.0")
    assert render.status == 0, render.error
    core = [each for each in render.objects if not is_custom(each)]
    assert len(core) >= LEAST_OBJECTS
    assert [problem for each in core for problem in core_problems(each, version)] == []


@pytest.mark.parametrize("name", SCENARIOS)
def test_crds_take_every_custom_object(chart: Packaged, name: str) -> None:
    folder = crd_folder()
    custom = [each for each in chart.render(name).objects if is_custom(each)]
    assert {"ServiceMonitor", "PodMonitor", "PrometheusRule"} <= {each["kind"] for each in custom}
    assert [problem for each in custom for problem in custom_problems(each, folder)] == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [("lws", "LeaderWorkerSet"), ("ray", "RayService"), ("keda", "ScaledObject"), ("postgresql", "HTTPRoute")],
)
def test_each_custom_kind_is_in_some_scenario(chart: Packaged, name: str, kind: str) -> None:
    assert chart.render(name).of(kind)


@pytest.mark.parametrize("name", SCENARIOS)
def test_both_helms_render_the_same(chart: Packaged, name: str) -> None:
    new = chart.render(name)
    old = chart.render(name, release=OLD)
    assert _by_name(old.objects) == _by_name(new.objects)


def _by_name(objects: list[Object]) -> dict[tuple[str, str], Object]:
    found = {(each["kind"], each["metadata"]["name"]): each for each in objects}
    assert len(found) == len(objects), "no two objects share kind and name"
    return found


@pytest.mark.parametrize("release", [OLD, NEW], ids=lambda release: release.version)
@pytest.mark.parametrize("name", SCENARIOS)
def test_lint_has_nothing_to_say(chart: Packaged, name: str, release: Release) -> None:
    ended = chart.run("lint", "--strict", str(chart.folder), "-f", str(scenario(name)), release=release)
    assert ended.returncode == 0, ended.stdout + ended.stderr


Break = Callable[[Object], object]
PLANTED: list[tuple[str, str, Break]] = [
    ("Deployment", "-gateway", lambda each: each["spec"].update(replica=2)),
    ("Deployment", "-gateway", lambda each: each["spec"].update(replicas="two")),
    ("Service", "-gateway", lambda each: each["spec"]["ports"][0].update(port="http")),
    ("NetworkPolicy", "-gateway", lambda each: each["spec"].update(policyType=["Ingress"])),
]


@pytest.mark.parametrize(("kind", "suffix", "break_it"), PLANTED)
def test_a_wrong_core_object_is_caught(chart: Packaged, kind: str, suffix: str, break_it: Break) -> None:
    broken = copy.deepcopy(chart.render("minimal").one(kind, suffix))
    break_it(broken)
    assert core_problems(broken, NEWEST) != []


def test_a_kind_that_nobody_knows_is_caught(chart: Packaged) -> None:
    unknown = chart.render("minimal").one("Deployment", "-gateway") | {"apiVersion": "apps/v9"}
    assert core_problems(unknown, NEWEST) == ["Deployment/rel-freehold-gateway: Kubernetes 1.37 has no apps/v9"]


@pytest.mark.parametrize(
    ("name", "kind", "path", "value", "said"),
    [
        ("keda", "ScaledObject", "spec.minReplica", 0, "unknown field"),
        ("keda", "ScaledObject", "spec.maxReplicaCount", "four", "is no integer"),
        ("lws", "LeaderWorkerSet", "spec.startupPolicy", "Sometime", "is none of"),
        ("ray", "RayService", "spec.rayClusterConfig.workerGroupSpecs.0.groupname", "a", "unknown field"),
        ("minimal", "ServiceMonitor", "spec.endpoints.0.interval", "often", "does not match"),
        ("minimal", "PrometheusRule", "spec.groups.0.name", None, "is no string"),
    ],
)
def test_a_wrong_custom_object_is_caught(
    chart: Packaged, name: str, kind: str, path: str, value: object, said: str
) -> None:
    folder = crd_folder()
    broken = copy.deepcopy(chart.render(name).of(kind)[0])
    place: object = broken
    *way, last = path.split(".")
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place[step]  # type: ignore[index]
    assert isinstance(place, dict)
    place[last] = value
    assert [problem for problem in custom_problems(broken, folder) if said in problem and re.search(last, problem)]


def test_without_crds_the_reason_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FREEHOLD_TEST_CRDS", str(tmp_path / "none"))
    with pytest.raises(pytest.skip.Exception, match="FREEHOLD_TEST_CRDS"):
        crd_folder()
