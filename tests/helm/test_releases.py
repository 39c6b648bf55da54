"""Two releases share nothing, a long name still fits, and the same values make the same objects."""

import json
from typing import Any

import pytest
from fixtures.chart.binaries import NEW, OLD, Release
from fixtures.chart.rendering import SCENARIOS, Object, Packaged, containers, scenario
from fixtures.chart.rules import RULES

LONGEST = "r" * 53
"""Helm takes no longer name for a release."""


def _selectors(objects: list[Object]) -> set[str]:
    found: set[str] = set()
    for each in objects:
        spec = each.get("spec") or {}
        for key in ("selector", "podSelector"):
            if spec.get(key):
                found.add(json.dumps(spec[key], sort_keys=True))
    return found


def _names(objects: list[Object]) -> set[tuple[str, str]]:
    return {(each["kind"], each["metadata"]["name"]) for each in objects}


@pytest.mark.parametrize("name", SCENARIOS)
def test_two_releases_share_nothing(chart: Packaged, name: str) -> None:
    one = chart.render(name, name="a").objects
    # A suffix that a careless chart would put there by itself.
    other = chart.render(name, name="a-freehold").objects
    assert _names(one) & _names(other) == set()
    assert _selectors(one) & _selectors(other) == set()


def test_sharing_is_caught(chart: Packaged) -> None:
    one = chart.render("minimal").objects
    assert _names(one) & _names(one) != set()
    assert _selectors(one) & _selectors(one) != set()


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_longest_release_name_fits(chart: Packaged, name: str) -> None:
    objects = chart.render(name, name=LONGEST).objects
    assert objects
    assert list(RULES["names_are_short_enough"](objects)) == []
    assert len(_names(objects)) == len(objects)


@pytest.mark.parametrize("release", [OLD, NEW], ids=lambda release: release.version)
@pytest.mark.slow
def test_rendering_twice_is_equal(chart: Packaged, release: Release) -> None:
    def once(*more: str) -> str:
        values = ("-f", str(scenario("postgresql")), "--api-versions", "gateway.networking.k8s.io/v1")
        return chart.run("template", "rel", str(chart.folder), *values, *more, release=release).stdout

    assert once() == once() != ""
    assert once("--set", "gateway.replicas=2") != once()


@pytest.mark.parametrize("name", SCENARIOS)
def test_one_switch_moves_every_image(chart: Packaged, name: str) -> None:
    objects = chart.render(name, "--set", "global.imageRegistry=mirror.local:5000").objects
    images = {container["image"] for _, _, container in containers(objects)}
    assert len(images) >= 2
    assert [image for image in images if not image.startswith("mirror.local:5000/")] == []


def test_names_of_models_that_kubernetes_does_not_take_stay_apart(chart: Packaged) -> None:
    services = [
        each["metadata"]["name"] for each in chart.render("amd").of("Service") if "engine" in each["metadata"]["name"]
    ]
    assert len(services) == len(set(services)) == 4
    assert all(name.startswith("rel-freehold-engine-qwen-qwen3-8-2") for name in services)


def _deployed(objects: list[Object], model: str) -> Any:
    return next(each for each in objects if each["kind"] == "Deployment" and each["metadata"]["name"].endswith(model))


def test_another_models_change_restarts_nothing(chart: Packaged) -> None:
    before = chart.render("lws").objects
    after = chart.render(
        "lws",
        *("--set", "deployment.models.extra.artifact=qwen3-8b"),
        *("--set", "deployment.models.qwen3-8b.cost.gpuHour=3"),
        *("--set", "engines.deepseek-v3\\.2.replicas=3"),
    ).objects
    assert _deployed(before, "qwen3-8b") == _deployed(after, "qwen3-8b")
    assert _deployed(before, "gateway") != _deployed(after, "gateway")


@pytest.mark.parametrize(
    "change", ["deployment.models.qwen3-8b.engine.maxModelLen=8192", "artifacts.qwen3-8b.source=Qwen/Qwen3-8B@main"]
)
def test_a_models_own_change_restarts_it(chart: Packaged, change: str) -> None:
    before, after = (chart.render("minimal", *more).objects for more in ((), ("--set", change)))
    annotations = [
        _deployed(each, "qwen3-8b")["spec"]["template"]["metadata"]["annotations"] for each in (before, after)
    ]
    assert annotations[0]["checksum/model"] != annotations[1]["checksum/model"]


@pytest.mark.parametrize(
    "change", ["artifacts.qwen3-8b.source=Qwen/Qwen3-8B@main", "images.jobs.tag=9", "artifacts.qwen3-8b.lock=a"]
)
def test_a_pull_that_changes_is_another_job(chart: Packaged, change: str) -> None:
    # A Job's template cannot be changed: under the same name the upgrade would fail.
    before, after = (chart.render("minimal", *more).one("Job") for more in ((), ("--set", change)))
    assert before["metadata"]["name"] != after["metadata"]["name"]


def test_a_pull_that_stays_is_the_same_job(chart: Packaged) -> None:
    before, after = (chart.render("minimal", *more).one("Job") for more in ((), ("--set", "engineDefaults.replicas=1")))
    assert before == after


def test_labels_of_users_reach_no_selector(chart: Packaged) -> None:
    plain = chart.render("minimal").objects
    labelled = chart.render("minimal", "--set", "commonLabels.environment=prod").objects
    assert _selectors(plain) == _selectors(labelled)
    assert all(each["metadata"]["labels"]["environment"] == "prod" for each in labelled)


def test_an_autoscaler_can_be_turned_on_and_off(chart: Packaged) -> None:
    with_it = chart.render(
        "minimal",
        *("--set", "engines.qwen3-8b.autoscaling.kind=hpa", "--set", "store.volume.accessModes={ReadWriteMany}"),
    )
    assert "replicas" not in _deployed(with_it.objects, "qwen3-8b")["spec"]
    assert _deployed(chart.render("minimal").objects, "qwen3-8b")["spec"]["replicas"] == 1
