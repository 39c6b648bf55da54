"""What cannot work is refused before anything is installed, and the message says what to do."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.chart.binaries import NEW, OLD, Release
from fixtures.chart.rendering import Object, Packaged

MODEL: Object = {
    "deployment": {"models": {"qwen3-8b": {"artifact": "qwen3-8b"}}},
    "artifacts": {"qwen3-8b": {"source": "Qwen/Qwen3-8B@b968826d9c46dd6066d109eabc6255188de91218"}},
}
UPSTREAM: Object = {"openai": {"baseUrl": "https://api.openai.com", "apiKeyFrom": {"env": "OPENAI_API_KEY"}}}


def with_model(**values: Any) -> Object:
    """Values of one model, with more over them, map by map."""
    return _laid(MODEL, values)


def _laid(under: Object, over: Object) -> Object:
    both = {**under, **over}
    for key in under.keys() & over.keys():
        if isinstance(under[key], dict) and isinstance(over[key], dict):
            both[key] = _laid(under[key], over[key])
    return both


SHARED = {"store": {"volume": {"accessModes": ["ReadWriteMany"]}}}

REFUSED: dict[str, tuple[Object, str, str]] = {
    "a misspelt model": (
        with_model(engines={"qwen3-8B": {"replicas": 1}}),
        "engines.qwen3-8B: deployment.models has no model of that name",
        "Models with an engine: qwen3-8b.",
    ),
    "an engine for a remote model": (
        with_model(
            deployment={"models": {"far": {"engine": {"kind": "remote", "baseUrl": "http://far:8000"}}}},
            engines={"far": {"replicas": 1}},
        ),
        "engines.far: deployment.models has no model of that name that runs in an engine here",
        "qwen3-8b",
    ),
    "an engine on Ray": (
        with_model(deployment={"models": {"qwen3-8b": {"engine": {"kind": "ray"}}}}),
        "deployment.models.qwen3-8b.engine.kind: ray is for `freehold serve`",
        "engines.qwen3-8b.multiNode.kind=rayService",
    ),
    "a test of no model": (
        with_model(tests={"model": "gpt"}),
        'tests.model: there is no model or route "gpt"',
        "qwen3-8b",
    ),
    "tuning": (with_model(deployment={"tuning": {"models": ["qwen3-8b"]}}), "deployment.tuning", "jobs"),
    "a policy by its file": (
        with_model(deployment={"policy": "policy.yaml"}),
        "deployment.policy names a file, which no pod has",
        "Write its rules under `policy`",
    ),
    "a key by its file": (
        with_model(policy={"signatures": {"keys": ["site.pub"]}}),
        'policy.signatures.keys: "site.pub" is a file, which no pod has',
        "Write the PEM text itself",
    ),
    "workers of a gateway": (
        with_model(deployment={"gateway": {"workers": 2}}),
        "deployment.gateway.workers: a gateway in a cluster is one process",
        "gateway.replicas",
    ),
    "two gateways on SQLite": (
        with_model(gateway={"replicas": 2}),
        "several gateways cannot share SQLite",
        "database.kind=postgresql",
    ),
    "an autoscaler on SQLite": (
        with_model(gateway={"autoscaling": {"enabled": True}}),
        "several gateways cannot share SQLite",
        "database.kind=postgresql",
    ),
    "SQLite by URL": (
        with_model(
            deployment={"gateway": {"database": "sqlite:////data/a.db"}},
            database={"kind": "postgresql", "existingSecret": {"name": "a"}},
            gateway={"replicas": 2},
        ),
        "several gateways cannot share SQLite",
        "database.kind=postgresql",
    ),
    "PostgreSQL without a secret": (
        with_model(database={"kind": "postgresql"}),
        "database.existingSecret.name is empty",
        "kubectl create secret generic",
    ),
    "recordings in a pod": (
        with_model(
            deployment={"routes": {"chat": {"targets": {"qwen3-8b": 1}, "record": {}}}},
            database={"kind": "postgresql", "existingSecret": {"name": "a"}},
        ),
        "deployment.routes.chat.record: recordings would be lost",
        "gateway.data.existingClaim",
    ),
    "an upstream's key from nowhere": (
        with_model(deployment={"upstreams": UPSTREAM}),
        "deployment.upstreams.openai.apiKeyFrom takes a secret from the environment variable OPENAI_API_KEY",
        "secretEnv.OPENAI_API_KEY",
    ),
    "the secret of the console's identity provider from nowhere": (
        with_model(
            deployment={
                "gateway": {
                    "console": {
                        "publicUrl": "https://models.example.com",
                        "oidc": {
                            "issuer": "https://id.example.com",
                            "clientId": "freehold",
                            "clientSecretFrom": {"env": "OIDC_SECRET"},
                            "roles": {"admin": ["ops"]},
                        },
                    }
                }
            }
        ),
        "deployment.gateway.console.oidc.clientSecretFrom takes a secret from the environment variable OIDC_SECRET",
        "secretEnv.OIDC_SECRET",
    ),
    "a database password from nowhere": (
        with_model(deployment={"gateway": {"database": "postgresql://u:${DB_PASSWORD}@h/d"}}),
        "deployment.gateway.database takes a secret from the environment variable DB_PASSWORD",
        "secretEnv.DB_PASSWORD",
    ),
    "replicas on one writer's volume": (
        with_model(engines={"qwen3-8b": {"replicas": 4}}),
        "4 pods would hold it (engines.qwen3-8b: 4): on a second node they would hang in Multi-Attach",
        "accessModes={ReadWriteMany}",
    ),
    "an autoscaler on one writer's volume": (
        with_model(engines={"qwen3-8b": {"autoscaling": {"kind": "hpa", "maxReplicas": 3}}}),
        "3 pods would hold it",
        "accessModes={ReadWriteMany}",
    ),
    "replicas on a single node's volume": (
        with_model(engines={"qwen3-8b": {"replicas": 2}}, store={"volume": {"singleNode": True}}),
        "2 pods would hold it",
        "store.volume.kind=ephemeral",
    ),
    "two models on one writer's volume": (
        with_model(deployment={"models": {"b": {"artifact": "b"}}}, artifacts={"b": {"existing": True}}),
        "2 pods would hold it (engines.b: 1, engines.qwen3-8b: 1)",
        "store.volume.singleNode=true",
    ),
    "a mirror on one writer's volume": (with_model(mirror={"enabled": True}), "mirror: 1", "ReadWriteMany"),
    "a mirror of nothing": (
        with_model(mirror={"enabled": True}, store={"volume": {"kind": "ephemeral"}}),
        "mirror.enabled: with store.volume.kind=ephemeral",
        "existingClaim",
    ),
    "a claim without a name": (
        with_model(store={"volume": {"kind": "existingClaim"}}),
        "store.volume.claim is empty",
        "kind=pvc",
    ),
    "an artifact from nowhere": (
        {"deployment": MODEL["deployment"]},
        'needs the artifact "qwen3-8b", and `artifacts` does not say where it comes from',
        "artifacts.qwen3-8b.existing=true",
    ),
    "an adapter from nowhere": (
        with_model(deployment={"models": {"qwen3-8b": {"adapters": {"a": {"artifact": "support"}}}}}),
        'needs the artifact "support"',
        "artifacts.support.source",
    ),
    "an artifact without a source": (
        {"deployment": MODEL["deployment"], "artifacts": {"qwen3-8b": {"lock": "a"}}},
        "artifacts.qwen3-8b has neither source nor existing=true",
        "Give one of the two",
    ),
    "a model without an artifact": (
        with_model(deployment={"models": {"bare": {"accept": []}}}, **SHARED),
        "deployment.models.bare: it or one of its adapters names no artifact",
        "deployment.models.bare.artifact",
    ),
    "what exists in an empty volume": (
        with_model(artifacts={"qwen3-8b": {"existing": True}}, store={"volume": {"kind": "ephemeral"}}),
        "artifacts.qwen3-8b.existing: a volume per pod is empty at first",
        "Give a source",
    ),
    "an air gap without a lock": (
        with_model(airGapped=True, hub={"endpoint": "https://hub.inside"}),
        "airGapped: artifacts.qwen3-8b has no lock",
        "--set-file artifacts.qwen3-8b.lock=freehold.lock",
    ),
    "an air gap without a hub": (
        with_model(airGapped=True, artifacts={"qwen3-8b": {"lock": "a"}}),
        "airGapped: artifacts.qwen3-8b comes from a hub, and there is none inside",
        "hub.endpoint",
    ),
    "an air gap with an upstream": (
        with_model(
            airGapped=True,
            artifacts={"qwen3-8b": {"existing": True}},
            deployment={"upstreams": UPSTREAM},
            secretEnv={"OPENAI_API_KEY": {"name": "a", "key": "b"}},
        ),
        "airGapped: requests would leave to deployment.upstreams.openai",
        "Remove the upstreams",
    ),
    "an air gap with media": (
        with_model(
            airGapped=True,
            artifacts={"qwen3-8b": {"existing": True}},
            deployment={"gateway": {"media": {"allowedDomains": ["a.example.com"]}}},
        ),
        "airGapped: the gateway would fetch files",
        "data: URLs",
    ),
    "an unknown accelerator": (
        with_model(engines={"qwen3-8b": {"accelerator": {"profile": "tpu"}}}),
        'engines.qwen3-8b.accelerator.profile: there is no profile "tpu"',
        "Profiles: amd, cpu, dra, intel, mig, nvidia.",
    ),
    "a slice without a name": (
        with_model(engines={"qwen3-8b": {"accelerator": {"profile": "mig"}}}),
        "engines.qwen3-8b.accelerator.profileName is empty",
        "3g.40gb",
    ),
    "more parallel than there is": (
        with_model(deployment={"models": {"qwen3-8b": {"engine": {"tensorParallel": 4}}}}),
        "deployment.models.qwen3-8b.engine.tensorParallel is 4, and the engine would hold 1 accelerators",
        "engines.qwen3-8b.accelerator.count=4",
    ),
    "replicas beside an autoscaler": (
        with_model(engines={"qwen3-8b": {"replicas": 2, "autoscaling": {"kind": "hpa"}}}, **SHARED),
        "engines.qwen3-8b: replicas and autoscaling.kind=hpa are both set",
        "Remove replicas",
    ),
    "more at least than at most": (
        with_model(engines={"qwen3-8b": {"autoscaling": {"kind": "hpa", "minReplicas": 9}}}, **SHARED),
        "minReplicas is more than maxReplicas",
        "Swap them",
    ),
    "an HPA to zero": (
        with_model(engines={"qwen3-8b": {"autoscaling": {"kind": "hpa", "minReplicas": 0}}}, **SHARED),
        "a HorizontalPodAutoscaler does not scale to zero",
        "kind=keda",
    ),
    "KEDA without Prometheus": (
        with_model(engines={"qwen3-8b": {"autoscaling": {"kind": "keda"}}}, **SHARED),
        "engines.qwen3-8b.autoscaling.prometheus is empty",
        "http://prometheus-operated.monitoring:9090",
    ),
    "a RayService with an autoscaler": (
        with_model(
            engines={"qwen3-8b": {"autoscaling": {"kind": "hpa"}, "multiNode": {"kind": "rayService"}}}, **SHARED
        ),
        "a RayService here is one engine, which no autoscaler can multiply",
        "leaderWorkerSet",
    ),
    "two RayServices of a model": (
        with_model(engines={"qwen3-8b": {"replicas": 2, "multiNode": {"kind": "rayService"}}}, **SHARED),
        "a RayService here is one engine, and replicas is 2",
        "leaderWorkerSet",
    ),
    "several machines of one": (
        with_model(engines={"qwen3-8b": {"multiNode": {"kind": "leaderWorkerSet", "size": 1}}}, **SHARED),
        "multiNode.size is 1",
        "kind=none",
    ),
    "a route to no Gateway": (
        with_model(gateway={"httpRoute": {"enabled": True}}),
        "gateway.httpRoute.parentRefs is empty",
        "my-gateway",
    ),
    "two fronts": (
        with_model(
            gateway={"httpRoute": {"enabled": True, "parentRefs": [{"name": "a"}]}, "ingress": {"enabled": True}}
        ),
        "gateway.ingress and gateway.httpRoute are both enabled",
        "Disable one",
    ),
    "an image that changes": (
        with_model(images={"toolkit": {"tag": "latest"}}),
        "images.toolkit.tag is `latest`, which nobody can roll back to",
        "Name a version",
    ),
    "a vLLM of unknown version": (
        with_model(images={"engine": {"tag": "nightly"}}),
        'Which vLLM is in the image of model "qwen3-8b"?',
        "engines.qwen3-8b.engineVersion",
    ),
    "a job without accelerators": (
        with_model(jobs={"a": {"command": ["finetune"], "accelerator": {"profile": "tpu"}}}, **SHARED),
        'jobs.a.accelerator.profile: there is no profile "tpu"',
        "Profiles:",
    ),
    "a job on claims without one": (
        with_model(jobs={"a": {"command": ["finetune"], "accelerator": {"profile": "dra"}}}, **SHARED),
        "jobs.a.accelerator.claimTemplate is empty",
        "ResourceClaimTemplate",
    ),
    "a job without a store": (
        with_model(jobs={"a": {"command": ["finetune"]}}, store={"volume": {"kind": "ephemeral"}}),
        "jobs.a: with store.volume.kind=ephemeral there is no store that all share",
        "existingClaim",
    ),
    "a name that no Service may have": (with_model(fullnameOverride="1a"), 'The name "1a"', "fullnameOverride=models"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_with_the_fix(chart: Packaged, tmp_path: Path, case: str) -> None:
    values, problem, fix = REFUSED[case]
    path = tmp_path / "values.yaml"
    path.write_text(yaml.safe_dump(values))
    render = chart.render(path)
    assert render.status != 0
    assert problem in render.error
    assert fix in render.error


@pytest.mark.parametrize("release", [OLD, NEW], ids=lambda release: release.version)
def test_what_is_refused_is_right_but_for_that(chart: Packaged, tmp_path: Path, release: Release) -> None:
    path = tmp_path / "values.yaml"
    path.write_text(yaml.safe_dump(with_model()))
    render = chart.render(path, release=release)
    assert (render.status, render.error) == (0, "")


@pytest.mark.parametrize(
    ("name", "api"),
    [
        ("lws", "leaderworkerset.x-k8s.io/v1"),
        ("ray", "ray.io/v1"),
        ("keda", "keda.sh/v1alpha1"),
        ("postgresql", "gateway.networking.k8s.io/v1"),
    ],
)
def test_a_missing_api_is_named(chart: Packaged, name: str, api: str) -> None:
    render = chart.render(name, apis=())
    assert render.status != 0
    assert f"requires the API {api}" in render.error
    assert f"--api-versions {api}" in render.error


def test_claims_need_a_cluster_that_has_them(chart: Packaged) -> None:
    render = chart.render("dra", kubernetes="1.30.0")
    assert "dra requires Kubernetes 1.32, and this is v1.30.0" in render.error


def test_an_old_cluster_is_refused(chart: Packaged) -> None:
    assert "requires kubeVersion: >=1.29.0-0" in chart.render("minimal", kubernetes="1.28.0").error


TYPOS = [
    ("replicaCount=1", "", "replicaCount"),
    ("gateway.replica=1", "/gateway", "replica"),
    ("gateway.service.typ=NodePort", "/gateway/service", "typ"),
    ("engines.qwen3-8b.acelerator.count=2", "/engines/qwen3-8b", "acelerator"),
    ("engines.qwen3-8b.accelerator.cuont=2", "/engines/qwen3-8b/accelerator", "cuont"),
    ("artifacts.qwen3-8b.sorce=a", "/artifacts/qwen3-8b", "sorce"),
    ("store.volume.sise=1Gi", "/store/volume", "sise"),
    ("deployment.modells.a=1", "/deployment", "modells"),
    ("deployment.models.qwen3-8b.engine.maxModelLenn=1", "/deployment/models/qwen3-8b/engine", "maxModelLenn"),
    ("deployment.gateway.prot=1", "/deployment/gateway", "prot"),
    ("monitoring.rules.thresholds.que=1", "/monitoring/rules/thresholds", "que"),
]


@pytest.mark.parametrize("release", [OLD, NEW], ids=lambda release: release.version)
@pytest.mark.parametrize(("given", "place", "key"), TYPOS)
def test_a_typo_is_refused_with_its_path(chart: Packaged, given: str, place: str, key: str, release: Release) -> None:
    render = chart.render("minimal", "--set", given, release=release)
    assert render.status != 0
    assert f"at '{place}'" in render.error
    assert f"'{key}'" in render.error


@pytest.mark.parametrize(
    "given",
    [
        "gateway.service.type=Bad",
        "gateway.replicas=0",
        "engines.qwen3-8b.startupMinutes=5",
        "engines.qwen3-8b.autoscaling.kvUse=2",
        "images.engine.digest=sha256:abc",
        "store.volume.kind=nfs",
        "store.volume.accessModes={ReadOnlyMany}",
        "podSecurity.runAsUser=0",
        "deployment.models.qwen3-8b.engine.dtype=fp8",
        "jobs.a.files.x=y",
    ],
)
def test_a_wrong_value_is_refused(chart: Packaged, given: str) -> None:
    assert "don't meet the specifications of the schema" in chart.render("minimal", "--set", given).error


@pytest.mark.parametrize("given", ["images.toolkit.tag=2", "images.toolkit.tag=1.5", "images.toolkit.tag=v1"])
def test_a_tag_may_look_like_a_number(chart: Packaged, given: str) -> None:
    render = chart.render("minimal", "--set", given)
    assert f"ghcr.io/freehold/freehold:{given.partition('=')[2]}" in render.text
