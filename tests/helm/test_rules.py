"""Every scenario keeps every rule, and each rule catches what breaks it."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from fixtures.chart.rendering import SCENARIOS, Object, Packaged, containers, engines, pod_templates
from fixtures.chart.rules import RULES

Break = Callable[[list[Object]], Any]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", SCENARIOS)
def test_the_scenario_keeps_the_rule(chart: Packaged, name: str, rule: str) -> None:
    objects = chart.render(name).objects
    assert objects
    assert list(RULES[rule](objects)) == []


def _container(change: Callable[[Object], Any]) -> Break:
    """Breaks the last container, which is a hook's or a sidecar's as likely as any."""
    return lambda objects: change(list(containers(objects))[-1][2])


def _pod(change: Callable[[Object], Any]) -> Break:
    return lambda objects: change(next(pod for _, pod in pod_templates(objects)))


def _engine(change: Callable[[Object], Any]) -> Break:
    return lambda objects: change(next(engines(objects))[2])


def _engine_pod(change: Callable[[Object], Any]) -> Break:
    return lambda objects: change(next(engines(objects))[1])


def _the(kind: str, change: Callable[[Object], Any], *, named: str = "") -> Break:
    return lambda objects: change(next(e for e in objects if e["kind"] == kind and named in e["metadata"]["name"]))


def _add(**fields: Any) -> Break:
    labels = {"app.kubernetes.io/name": "a", "app.kubernetes.io/instance": "b", "app.kubernetes.io/managed-by": "c"}
    return lambda objects: objects.append({"metadata": {"name": "extra", "labels": labels}, **fields})


def _remove(kind: str, named: str = "") -> Break:
    def remove(objects: list[Object]) -> None:
        objects[:] = [each for each in objects if each["kind"] != kind or named not in each["metadata"]["name"]]

    return remove


def _attendant(pod: Object) -> Object:
    return next(each for each in pod["spec"]["initContainers"] if each["name"] == "attendant")


PLANTED: list[tuple[str, Break]] = [
    ("runs_as_nobody", _container(lambda each: each["securityContext"].update(runAsNonRoot=False))),
    ("runs_as_nobody", _container(lambda each: each["securityContext"].update(runAsUser=0))),
    (
        "filters_system_calls",
        _container(lambda each: each["securityContext"].update(seccompProfile={"type": "Unconfined"})),
    ),
    ("gains_no_privileges", _container(lambda each: each["securityContext"].pop("allowPrivilegeEscalation"))),
    ("gains_no_privileges", _container(lambda each: each["securityContext"]["capabilities"].update(add=["NET_ADMIN"]))),
    ("writes_into_volumes_alone", _container(lambda each: each["securityContext"].pop("readOnlyRootFilesystem"))),
    ("stays_in_its_namespaces", _pod(lambda pod: pod["spec"].update(hostIPC=True))),
    ("mounts_no_token", _pod(lambda pod: pod["spec"].pop("automountServiceAccountToken"))),
    ("gets_no_service_links", _pod(lambda pod: pod["spec"].pop("enableServiceLinks"))),
    ("says_what_it_needs", _container(lambda each: each["resources"]["limits"].pop("memory"))),
    ("says_what_it_needs", _container(lambda each: each["resources"]["requests"].pop("cpu"))),
    ("images_are_pinned", _container(lambda each: each.update(image="docker.io/vllm/vllm-openai:latest"))),
    ("images_are_pinned", _container(lambda each: each.update(image="localhost:5000/vllm"))),
    ("restarts_with_its_config", _engine_pod(lambda pod: pod["metadata"].pop("annotations"))),
    ("waits_for_long_loads", _engine(lambda each: each["startupProbe"].update(failureThreshold=60))),
    ("waits_for_long_loads", _engine(lambda each: each.pop("startupProbe"))),
    ("is_watched_once_it_runs", _engine(lambda each: each["livenessProbe"].update(initialDelaySeconds=600))),
    ("readiness_is_the_probe", _engine_pod(lambda pod: _attendant(pod).pop("readinessProbe"))),
    ("readiness_is_the_probe", _engine_pod(lambda pod: _attendant(pod).update(startupProbe={}))),
    ("drains_before_it_ends", _engine(lambda each: each.pop("lifecycle"))),
    ("drains_before_it_ends", _engine_pod(lambda pod: pod["spec"].update(terminationGracePeriodSeconds=60))),
    ("drains_before_it_ends", _engine(lambda each: each.update(command=["vllm", "serve"]))),
    (
        "replaces_in_place",
        _the("Deployment", lambda each: each["spec"]["strategy"]["rollingUpdate"].pop("maxSurge"), named="engine"),
    ),
    ("nothing_is_recreated", _the("Deployment", lambda each: each["spec"].update(strategy={"type": "Recreate"}))),
    ("has_room_to_work", _engine(lambda each: each.update(env=[]))),
    ("has_room_to_work", _engine(lambda each: each["volumeMounts"].pop())),
    ("single_writers_are_alone", _the("Deployment", lambda each: each["spec"].update(replicas=2), named="engine")),
    ("data_survives_uninstall", _the("PersistentVolumeClaim", lambda each: each["metadata"].pop("annotations"))),
    ("drains_of_nodes_are_bounded", _remove("PodDisruptionBudget", "engine")),
    ("drains_of_nodes_are_bounded", _the("PodDisruptionBudget", lambda each: each["spec"].update(minAvailable=1))),
    ("everything_is_denied_first", _remove("NetworkPolicy", "default-deny")),
    (
        "engines_hear_the_gateway_alone",
        _the("NetworkPolicy", lambda each: each["spec"]["ingress"].append({"ports": [{"port": 8000}]}), named="engine"),
    ),
    ("labels_are_the_recommended", _the("Service", lambda each: each["metadata"].pop("labels"))),
    (
        "selectors_hold_what_never_changes",
        _the("Service", lambda each: each["spec"]["selector"].update({"app.kubernetes.io/version": "1"})),
    ),
    (
        "selectors_hold_what_never_changes",
        _the("Service", lambda each: each["spec"]["selector"].pop("app.kubernetes.io/instance")),
    ),
    ("secrets_are_referenced", _add(kind="Secret", stringData={"token": "hf_x"})),
    ("nothing_is_cluster_wide", _add(kind="ClusterRole", rules=[])),
    ("nothing_is_cluster_wide", _add(kind="Role", rules=[{"verbs": ["*"]}])),
    ("names_are_short_enough", _the("Deployment", lambda each: each["metadata"].update(name="a" * 60))),
    ("names_are_short_enough", _the("Service", lambda each: each["metadata"].update(name="1a"))),
    ("tests_clean_up", _remove("Pod")),
    ("tests_clean_up", _the("Job", lambda each: each["metadata"].update(annotations={"helm.sh/hook": "post-install"}))),
]


@pytest.mark.parametrize(("rule", "break_it"), PLANTED, ids=[rule for rule, _ in PLANTED])
def test_the_rule_catches(chart: Packaged, rule: str, break_it: Break) -> None:
    objects = copy.deepcopy(chart.render("minimal").objects)
    break_it(objects)
    assert list(RULES[rule](objects)) != []


@pytest.mark.parametrize("name", ["hpa", "keda"])
def test_a_number_with_two_owners_is_caught(chart: Packaged, name: str) -> None:
    objects = copy.deepcopy(chart.render(name).objects)
    next(each for each in objects if each["kind"] == "Deployment" and "engine" in each["metadata"]["name"])[
        "spec"
    ].update(replicas=1)
    assert list(RULES["a_number_has_one_owner"](objects)) != []


def test_a_service_that_a_controller_would_make_is_caught(chart: Packaged) -> None:
    objects = copy.deepcopy(chart.render("lws").objects)
    group = next(each for each in objects if each["kind"] == "LeaderWorkerSet")
    next(each for each in objects if each["kind"] == "Service")["metadata"]["name"] = group["metadata"]["name"]
    assert list(RULES["leaves_names_to_controllers"](objects)) != []


def test_a_ray_head_that_waits_for_itself_is_caught(chart: Packaged) -> None:
    objects = copy.deepcopy(chart.render("ray").objects)
    attendant = _attendant(next(engines(objects))[1])
    attendant["readinessProbe"] = {"httpGet": {"path": "/ready", "port": "attendant"}}
    assert list(RULES["readiness_is_the_probe"](objects)) != []


def test_each_rule_has_a_planted_failure() -> None:
    elsewhere = {"a_number_has_one_owner", "leaves_names_to_controllers"}
    assert {rule for rule, _ in PLANTED} | elsewhere == set(RULES)
