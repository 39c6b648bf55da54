"""Any scenario upgrades to any other: no object changes a field that an API server refuses to change.

There is no cluster here: the fields are those that Kubernetes' own validation compares on an update
(k8s.io/kubernetes/pkg/apis/*/validation) and those of LeaderWorkerSet's webhook.
"""

import copy
import functools
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from fixtures.chart.rendering import SCENARIOS, Object, Packaged

FIXED = {
    "ConfigMap": (),
    "DaemonSet": ("spec.selector",),
    "Deployment": ("spec.selector",),
    "Job": ("spec.selector", "spec.template", "spec.completionMode", "spec.podFailurePolicy"),
    "LeaderWorkerSet": ("spec.leaderWorkerTemplate.size",),
    "PersistentVolumeClaim": (
        "spec.accessModes",
        "spec.selector",
        "spec.storageClassName",
        "spec.volumeMode",
        "spec.volumeName",
        "spec.dataSource",
    ),
    "ResourceClaimTemplate": ("spec",),
    "RoleBinding": ("roleRef",),
    "Secret": ("type",),
    "Service": ("spec.clusterIP",),
    "StatefulSet": ("spec.selector", "spec.serviceName", "spec.podManagementPolicy", "spec.volumeClaimTemplates"),
}
PAIRS = tuple(itertools.permutations(SCENARIOS, 2))


def _at(each: Object, path: str) -> Any:
    found: Any = each
    for part in path.split("."):
        found = (found or {}).get(part)
    return found


def _refused(before: list[Object], after: list[Object]) -> Iterator[str]:
    """What the server would say of the upgrade."""
    known = {_identity(each): each for each in before if not _is_hook(each)}
    for each in after:
        old = known.get(_identity(each))
        if old is None or _is_hook(each):
            continue
        for path in FIXED.get(each["kind"], ()):
            if _at(old, path) != _at(each, path):
                yield f"{each['kind']} {each['metadata']['name']}: {path} cannot change"
        if _size(old) != _size(each):
            yield f"{each['kind']} {each['metadata']['name']}: its size cannot shrink, and not always grow"
        if old.get("immutable") and (old.get("data"), True) != (each.get("data"), each.get("immutable")):
            yield f"{each['kind']} {each['metadata']['name']}: it is immutable"
        if _at(old, "spec.strategy.type") != _at(each, "spec.strategy.type"):
            yield f"{each['kind']} {each['metadata']['name']}: Helm 4 cannot change the strategy's type"


def _size(each: Object) -> Any:
    return _at(each, "spec.resources.requests.storage") if each["kind"] == "PersistentVolumeClaim" else None


def _identity(each: Object) -> tuple[str, str, str]:
    return each["apiVersion"].partition("/")[0], each["kind"], each["metadata"]["name"]


def _is_hook(each: Object) -> bool:
    return "helm.sh/hook" in (each["metadata"].get("annotations") or {})


@pytest.mark.parametrize("before", SCENARIOS)
def test_each_scenario_upgrades_to_every_other(chart: Packaged, before: str) -> None:
    old = chart.render(before).objects
    told = {after: list(_refused(old, chart.render(after).objects)) for after in SCENARIOS if after != before}
    assert {after: problems for after, problems in told.items() if problems} == {}


def test_they_have_objects_in_common(chart: Packaged) -> None:
    kinds = set()
    for before, after in PAIRS:
        names = {_identity(each) for each in chart.render(before).objects}
        kinds |= {each["kind"] for each in chart.render(after).objects if _identity(each) in names}
    assert {"Deployment", "Service", "PersistentVolumeClaim", "ConfigMap"} <= kinds


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Deployment", "spec.selector", {"matchLabels": {"app": "other"}}),
        ("Deployment", "spec.strategy.type", "Recreate"),
        ("Service", "spec.clusterIP", "None"),
        ("PersistentVolumeClaim", "spec.storageClassName", "other"),
        ("PersistentVolumeClaim", "spec.resources.requests.storage", "1Gi"),
        ("Job", "spec.template", {}),
    ],
)
def test_a_change_that_is_refused_is_caught(chart: Packaged, kind: str, path: str, value: object) -> None:
    before = chart.render("defaults").objects
    after = copy.deepcopy(before)
    changed = next(each for each in after if each["kind"] == kind and not _is_hook(each))
    *parents, last = path.split(".")
    part = functools.reduce(lambda found, name: found[name], parents, changed)
    assert part.get(last) != value
    part[last] = value
    assert list(_refused(before, before)) == []
    (problem,) = _refused(before, after)
    assert f"{kind} {changed['metadata']['name']}" in problem
