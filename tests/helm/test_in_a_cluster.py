"""What the chart renders by what a cluster has already: a fake one (fixtures/chart/fake_cluster.py); Helm is real.

Claims that outlive the values that asked for them stay in the release: Helm 3 refuses a rollback to a revision with an
object that exists and that the present revision does not have (helm/helm#8228).
"""

import copy
from pathlib import Path

import pytest
import yaml
from fixtures.chart.binaries import NEW, OLD, Release
from fixtures.chart.fake_cluster import fake_cluster
from fixtures.chart.rendering import APIS, SCENARIOS, Object, Packaged, scenario

KEEP = "helm.sh/resource-policy"


def _bound(claim: Object, release: str = "rel", namespace: str = "ns") -> Object:
    """As a cluster shows it that was asked for it by Helm."""
    bound = copy.deepcopy(claim)
    owner = {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace}
    bound["metadata"] |= {"namespace": namespace, "uid": "0" * 8}
    bound["metadata"].setdefault("annotations", {}).update(owner)
    bound["spec"] = {"storageClassName": "standard", "volumeName": "pvc-1", "volumeMode": "Filesystem"} | claim["spec"]
    bound["status"] = {"phase": "Bound"}
    return bound


def _asked(
    chart: Packaged, config: Path, name: str, *more: str, command: str = "template", release: Release = NEW
) -> str:
    """What Helm prints of the scenario where the server of this kubeconfig is asked."""
    apis = [option for api in APIS for option in ("--api-versions", api)] if command == "template" else []
    where = ("-n", "ns", "--kubeconfig", str(config), "--dry-run=server", "--disable-openapi-validation")
    values = ("-f", str(scenario(name)), *where, *apis, *more)
    done = chart.run(command, "rel", str(chart.folder), *values, release=release, home=config.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _rendered(chart: Packaged, config: Path, name: str, *more: str, release: Release = NEW) -> list[Object]:
    return [each for each in yaml.safe_load_all(_asked(chart, config, name, *more, release=release)) if each]


def _claims(objects: list[Object]) -> dict[str, Object]:
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == "PersistentVolumeClaim"}


@pytest.fixture(scope="module")
def kinds(chart: Packaged) -> set[tuple[str, str]]:
    """All that the scenarios ask a cluster for."""
    return {(each["apiVersion"], each["kind"]) for name in SCENARIOS for each in chart.render(name).objects}


@pytest.fixture(scope="module")
def every(chart: Packaged) -> dict[str, Object]:
    """The claims of all scenarios."""
    return _claims([each for name in SCENARIOS for each in chart.render(name).objects])


@pytest.mark.slow
@pytest.mark.parametrize("release", [OLD, NEW], ids=lambda release: release.version)
def test_each_scenario_keeps_the_claims_of_all_others(
    chart: Packaged, every: dict[str, Object], kinds: set[tuple[str, str]], tmp_path: Path, release: Release
) -> None:
    assert len(every) > 3
    assert all(each["metadata"]["annotations"][KEEP] == "keep" for each in every.values())
    with fake_cluster(tmp_path, [_bound(each) for each in every.values()], kinds) as config:
        for name in SCENARIOS:
            shown = _claims(_rendered(chart, config, name, release=release))
            assert shown.keys() == every.keys(), name
            for claim, before in every.items():
                # Not a field more or less than it was made with: a rollback would take it away, which is refused.
                assert shown[claim]["spec"] == before["spec"], (name, claim)
                assert shown[claim]["metadata"]["annotations"] == before["metadata"]["annotations"], (name, claim)


def test_others_claims_are_left_alone(
    chart: Packaged, every: dict[str, Object], kinds: set[tuple[str, str]], tmp_path: Path
) -> None:
    own = chart.render("postgresql").of("PersistentVolumeClaim")
    (claim,) = (each for each in every.values() if each["metadata"]["name"].endswith("-database"))
    of_another_release = _bound(claim, release="other")
    labels = {**claim["metadata"]["labels"], "app.kubernetes.io/instance": "other"}
    of_a_kept_label = _bound(claim | {"metadata": {**claim["metadata"], "labels": labels}})
    not_to_be_kept = _bound(claim)
    del not_to_be_kept["metadata"]["annotations"]["freehold.dev/claim"]
    on_its_way_out = _bound(claim)
    on_its_way_out["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    for other in (of_another_release, of_a_kept_label, not_to_be_kept, on_its_way_out):
        with fake_cluster(tmp_path, [other], kinds) as config:
            shown = _claims(_rendered(chart, config, "postgresql"))
        assert shown.keys() == {each["metadata"]["name"] for each in own}
    with fake_cluster(tmp_path, [_bound(claim)], kinds) as config:
        assert claim["metadata"]["name"] in _claims(_rendered(chart, config, "postgresql"))


def test_the_class_of_a_database_that_exists_is_not_changed(
    chart: Packaged, kinds: set[tuple[str, str]], tmp_path: Path
) -> None:
    (claim,) = chart.render("minimal").of("PersistentVolumeClaim", "-database")
    with fake_cluster(tmp_path, [_bound(claim)], kinds) as config:
        assert claim["metadata"]["name"] in _claims(_rendered(chart, config, "minimal"))
        other = ("--set", "database.sqlite.storageClass=fast")
        with pytest.raises(AssertionError, match='was made with ""; that cannot change') as refused:
            _rendered(chart, config, "minimal", *other)
    assert 'Set it back to ""' in str(refused.value)
    with fake_cluster(tmp_path, [], kinds) as config:
        _rendered(chart, config, "minimal", *other)


def test_one_that_is_not_to_be_kept_says_nothing(chart: Packaged, kinds: set[tuple[str, str]], tmp_path: Path) -> None:
    with fake_cluster(tmp_path, [], kinds) as config:
        unkept = ("--set", "store.volume.keep=false,database.sqlite.keep=false")
        shown = _claims(_rendered(chart, config, "minimal", *unkept))
    assert len(shown) == 2
    assert all("annotations" not in each["metadata"] for each in shown.values())


@pytest.mark.parametrize("release", [OLD, NEW], ids=lambda release: release.version)
def test_one_that_is_named_anew_is_not_called_unused(
    chart: Packaged, kinds: set[tuple[str, str]], tmp_path: Path, release: Release
) -> None:
    (claim,) = chart.render("minimal").of("PersistentVolumeClaim", "-database")
    name = claim["metadata"]["name"]
    with fake_cluster(tmp_path, [_bound(claim)], kinds) as config:
        notes = _asked(chart, config, "postgresql", command="install", release=release)
        assert f"delete pvc {name}" in notes
        for value in ("gateway.data.existingClaim", "jobDefaults.dataClaim"):
            notes = _asked(chart, config, "postgresql", "--set", f"{value}={name}", command="install", release=release)
            assert f"Claim {name}, of an earlier revision." in notes
            assert f"delete pvc {name}" not in notes


def test_one_that_has_grown_is_not_asked_to_shrink(
    chart: Packaged, kinds: set[tuple[str, str]], tmp_path: Path
) -> None:
    (claim,) = chart.render("minimal").of("PersistentVolumeClaim", "-database")
    grown = _bound(claim)
    grown["spec"]["resources"] = {"requests": {"storage": "7Ti"}}
    with fake_cluster(tmp_path, [grown], kinds) as config:
        shown = _claims(_rendered(chart, config, "postgresql"))[claim["metadata"]["name"]]
    assert shown["spec"] == claim["spec"] | {"resources": {"requests": {"storage": "7Ti"}}}


def test_a_class_of_null_is_the_default_one(chart: Packaged, kinds: set[tuple[str, str]], tmp_path: Path) -> None:
    own = chart.render("minimal").of("PersistentVolumeClaim")
    with fake_cluster(tmp_path, [_bound(each) for each in own], kinds) as config:
        nulls = ("--set", "store.volume.storageClass=null,database.sqlite.storageClass=null")
        shown = _claims(_rendered(chart, config, "minimal", *nulls))
    assert [shown[each["metadata"]["name"]]["spec"] for each in own] == [each["spec"] for each in own]
    assert len(shown) == len(own)
