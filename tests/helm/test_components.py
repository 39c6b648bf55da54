"""What each component is given: the gateway's files, engines' pods, pulls, networks, autoscalers."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.chart.rendering import SCENARIOS, Object, Packaged, Render, containers, engines, pod_templates

from freehold.core.hub.lockfile import read_lock
from freehold.core.policy import parse_policy
from freehold.serve.config import DeploymentConfig
from freehold.serve.config.deployment import parse_config


def _deployment(render: Render) -> DeploymentConfig:
    text = render.one("ConfigMap", "-deployment")["data"]["freehold.yaml"]
    return parse_config(yaml.safe_load(text), "the ConfigMap")


def _engines_file(render: Render) -> Object:
    found: Object = yaml.safe_load(render.one("ConfigMap", "freehold-engines")["data"]["engines.yaml"])["engines"]
    return found


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_gateway_reads_what_the_user_wrote(chart: Packaged, name: str) -> None:
    config = _deployment(chart.render(name))
    assert (config.gateway.host, config.gateway.port, config.gateway.drain_timeout_s) == ("0.0.0.0", 8000, 600)
    assert config.gateway.database == "${FREEHOLD_DATABASE_URL}"


def test_numbers_survive_the_way(chart: Packaged) -> None:
    config = _deployment(chart.render("cpu-only"))
    assert config.gateway.max_body_bytes == 67_108_864
    assert config.gateway.admin_key_from is not None
    assert config.gateway.admin_key_from.env == "FREEHOLD_ADMIN_KEY"


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_gateway_is_told_of_each_engine(chart: Packaged, name: str) -> None:
    render = chart.render(name)
    services = {f"{each['metadata']['name']}.ns.svc": each for each in render.of("Service")}
    for model, engine in _engines_file(render).items():
        service = services[engine["service"]]
        assert service["spec"]["clusterIP"] == "None"
        assert {port["port"] for port in service["spec"]["ports"]} == {engine["port"], engine["attendantPort"]}
        wanted = service["spec"]["selector"].items()
        pods = [pod for _, pod in pod_templates(render.objects) if wanted <= pod["metadata"]["labels"].items()]
        assert [pod["metadata"]["annotations"]["freehold.dev/model-name"] for pod in pods] == [model]
        ports = {
            port["name"]: port["containerPort"]
            for container in (*pods[0]["spec"]["initContainers"], *pods[0]["spec"]["containers"])
            for port in container.get("ports", ())
        }
        assert [ports[port["targetPort"]] for port in service["spec"]["ports"]] == [8000, 8001]
    assert set(_engines_file(render)) == {
        model for model, served in _deployment(render).models.items() if served.engine.kind == "process"
    }


def test_a_model_that_sleeps_has_its_requests_held(chart: Packaged) -> None:
    render = chart.render("keda")
    assert {model: each["holdS"] for model, each in _engines_file(render).items()} == {"qwen3-8b": 0, "qwen3-32b": 900}
    scaled = render.of("ScaledObject")
    # Helm makes them before it deletes the HPA of an earlier revision, for whose sake KEDA would refuse them.
    assert {each["metadata"]["annotations"]["validations.keda.sh/hpa-ownership"] for each in scaled} == {"false"}
    asleep = render.one("ScaledObject", "qwen3-32b")["spec"]
    assert (asleep["minReplicaCount"], asleep["maxReplicaCount"]) == (0, 2)
    queries = {trigger["name"]: trigger["metadata"] for trigger in asleep["triggers"]}
    assert (
        'freehold_requests_held{namespace="ns",freehold_release="rel",model="qwen3-32b"}' in queries["queue"]["query"]
    )
    assert queries["queue"]["activationThreshold"] == "0"
    (alert,) = (
        rule
        for group in render.one("PrometheusRule")["spec"]["groups"]
        for rule in group["rules"]
        if rule["alert"] == "FreeholdEngineDown"
    )
    assert 'model!~"qwen3-32b"' in alert["expr"]


def test_an_autoscaler_asks_in_the_metrics_own_units(chart: Packaged) -> None:
    metrics = chart.render("hpa").one("HorizontalPodAutoscaler", "qwen3-8b")["spec"]["metrics"]
    found = {each["pods"]["metric"]["name"]: each["pods"]["target"]["averageValue"] for each in metrics}
    assert found == {"vllm_num_requests_waiting": "10", "vllm_kv_cache_usage_perc": "850m"}


ACCELERATORS = [
    ("minimal", "qwen3-8b", {"nvidia.com/gpu": "1"}, "docker.io/vllm/vllm-openai:v0.32.0"),
    ("amd", "31f050a9", {"amd.com/gpu": "2"}, "docker.io/vllm/vllm-openai-rocm:v0.32.0"),
    ("intel", "phi-4", {"gpu.intel.com/xe": "1"}, "docker.io/vllm/vllm-openai-xpu:v0.32.0-xpu"),
    (
        "mig",
        "engine-qwen3-8b",
        {"nvidia.com/mig-3g.40gb": "1"},
        "registry.example.com/mirror/vllm/vllm-openai@sha256:" + "2" * 64,
    ),
    ("cpu-only", "instruct", {}, "public.ecr.aws/q9t5s3a7/vllm-cpu-release-repo:v0.32.0"),
    ("dra", "qwen3-8b", {}, "docker.io/vllm/vllm-openai:v0.32.0"),
]


@pytest.mark.parametrize(("name", "suffix", "asked", "image"), ACCELERATORS)
def test_each_profile_asks_for_its_accelerator(
    chart: Packaged, name: str, suffix: str, asked: dict[str, str], image: str
) -> None:
    found = [each for each in engines(chart.render(name).objects) if each[0]["metadata"]["name"].endswith(suffix)]
    if name == "amd":
        found = [each for each in engines(chart.render(name).objects) if "2" in each[2]["resources"]["limits"].values()]
    ((_, _, container),) = found
    limits = container["resources"]["limits"]
    assert {key: value for key, value in limits.items() if "/" in key} == asked
    assert container["image"] == image


def test_a_claim_is_made_of_a_class_or_taken_as_it_is(chart: Packaged) -> None:
    render = chart.render("dra")
    template = render.one("ResourceClaimTemplate")
    assert template["apiVersion"] == "resource.k8s.io/v1"
    claims = {each["metadata"]["name"]: pod["spec"]["resourceClaims"] for each, pod, _ in engines(render.objects)}
    assert claims == {
        "rel-freehold-engine-qwen3-8b": [{"name": "accelerator", "resourceClaimTemplateName": "shared-h100"}],
        "rel-freehold-engine-qwen3-32b": [
            {"name": "accelerator", "resourceClaimTemplateName": template["metadata"]["name"]}
        ],
    }
    old = chart.render("dra", kubernetes="1.32.0").one("ResourceClaimTemplate")
    assert old["apiVersion"] == "resource.k8s.io/v1beta1"
    (request,) = old["spec"]["spec"]["devices"]["requests"]
    assert (request["deviceClassName"], request["count"]) == ("gpu.nvidia.com", 2)


def _pulls(render: Render) -> list[Object]:
    return [each for each in render.of("Job") if "-pull-" in each["metadata"]["name"]]


def test_each_artifact_is_pulled_by_one_job(chart: Packaged) -> None:
    pulls = _pulls(chart.render("lws"))
    commands = [each["spec"]["template"]["spec"]["containers"][0]["command"] for each in pulls]
    assert sorted(command[command.index("--name") + 1] for command in commands) == ["deepseek-v3.2", "qwen3-8b"]


def test_what_exists_is_not_pulled_and_a_lock_is_kept(chart: Packaged, tmp_path: Path) -> None:
    render = chart.render("air-gapped")
    (pull,) = _pulls(render)
    container = pull["spec"]["template"]["spec"]["containers"][0]
    assert container["command"][-3:] == ["--lock-file", "/etc/freehold/lock/qwen3-8b.lock", "--locked"]
    assert {"name": "HF_ENDPOINT", "value": "https://hub.inside"} in container["env"]
    path = tmp_path / "qwen3-8b.lock"
    path.write_text(render.one("ConfigMap", "-locks")["data"][path.name])
    assert list(read_lock(path).models) == ["Qwen/Qwen3-8B"]


@pytest.mark.parametrize("name", ["intel", "adapters"])
def test_a_volume_of_ones_own_is_filled_by_the_pod(chart: Packaged, name: str) -> None:
    render = chart.render(name)
    assert _pulls(render) == []
    for _, pod, _ in engines(render.objects):
        names = [each["name"] for each in pod["spec"]["initContainers"]]
        assert names[0].startswith("pull-")
        assert names[-2:] == ["prepare", "attendant"]


# --- several machines ---


def test_machines_of_one_engine_know_each_other(chart: Packaged) -> None:
    render = chart.render("lws")
    spec = render.one("LeaderWorkerSet")["spec"]
    assert (spec["replicas"], spec["leaderWorkerTemplate"]["size"]) == (2, 2)
    leader, worker = (spec["leaderWorkerTemplate"][f"{role}Template"]["spec"] for role in ("leader", "worker"))
    for pod in (leader, worker):
        command = pod["containers"][0]["command"]
        assert command[command.index("--nnodes") + 1] == "2"
        assert command[command.index("--node-rank") + 1] == "$(LWS_WORKER_INDEX)"
        assert command[command.index("--master-addr") + 1] == "$(LWS_LEADER_ADDRESS)"
    assert "--headless" in worker["containers"][0]["command"]
    assert "--headless" not in leader["containers"][0]["command"]
    assert "attendant" not in [each["name"] for each in worker["initContainers"]]
    policy = render.one(
        "NetworkPolicy",
        "-engine-" + spec["leaderWorkerTemplate"]["leaderTemplate"]["metadata"]["labels"]["freehold.dev/model"],
    )
    assert {"podSelector": policy["spec"]["podSelector"]} in [
        peer for way in policy["spec"]["egress"] for peer in way["to"]
    ]


def test_a_ray_service_runs_vllm_on_its_head(chart: Packaged) -> None:
    spec = chart.render("ray").one("RayService")["spec"]
    serve = yaml.safe_load(spec["serveConfigV2"])
    (application,) = serve["applications"]
    assert application["import_path"] == "freehold_engine:app"
    assert serve["http_options"]["port"] != 8000
    (group,) = spec["rayClusterConfig"]["workerGroupSpecs"]
    assert [group[key] for key in ("replicas", "minReplicas", "maxReplicas")] == [2, 2, 2]


def test_the_serve_application_is_python(chart: Packaged) -> None:
    source = chart.render("ray").one("ConfigMap", "-kimi-k2-6-" + _slug_hash("kimi-k2.6"))["data"]["freehold_engine.py"]
    compile(source, "freehold_engine.py", "exec")
    assert source.strip() == (chart.folder / "files" / "ray" / "freehold_engine.py").read_text().strip()


def _slug_hash(name: str) -> str:
    import hashlib

    return hashlib.sha256(name.encode()).hexdigest()[:6]


# --- networks ---


def _policy(render: Render, suffix: str) -> Any:
    return render.one("NetworkPolicy", suffix)["spec"]


def _outside(policy: Object) -> list[int]:
    """Ports on which a pod may leave the cluster."""
    leaving = [way for way in policy.get("egress", ()) if {"ipBlock": {"cidr": "0.0.0.0/0"}} in way.get("to", ())]
    return [port["port"] for way in leaving for port in way["ports"]]


def test_upstreams_are_reached_only_if_a_route_names_them(chart: Packaged) -> None:
    # The one on port 8443 is in `upstreams`, and no route leads to it.
    assert _outside(_policy(chart.render("postgresql"), "freehold-gateway")) == [443, 9000, 80, 8444]
    assert _outside(_policy(chart.render("minimal"), "freehold-gateway")) == []


def test_engines_reach_nothing_outside(chart: Packaged) -> None:
    for name in SCENARIOS:
        for policy in chart.render(name).of("NetworkPolicy"):
            if "-engine-" in policy["metadata"]["name"] and name not in ("intel", "adapters"):
                assert _outside(policy["spec"]) == []


def test_an_air_gap_cuts_the_hub_off(chart: Packaged, tmp_path: Path) -> None:
    assert _outside(_policy(chart.render("minimal"), "-pull")) == [443]
    gapped = chart.render("air-gapped")
    assert _outside(_policy(gapped, "-pull")) == []
    assert [way["to"] for way in _policy(gapped, "-pull")["egress"]][-1] == [{"ipBlock": {"cidr": "10.20.0.0/24"}}]
    path = tmp_path / "values.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "airGapped": True,
                "deployment": {"models": {"a": {"artifact": "a"}}},
                "artifacts": {"a": {"existing": True}},
            }
        )
    )
    everything = [each["spec"] for each in chart.render(path).of("NetworkPolicy")]
    assert everything
    assert [port for policy in everything for port in _outside(policy)] == []


@pytest.mark.parametrize("key", ["hub", "upstreams", "dns"])
def test_no_peers_mean_nowhere(chart: Packaged, key: str) -> None:
    # In a policy an empty `to` means everywhere, which is what nobody who empties it wants.
    render = chart.render("postgresql", "--set-json", f"networkPolicy.{key}.to=[]")
    assert render.status == 0, render.error
    assert [
        way for each in render.of("NetworkPolicy") for way in each["spec"].get("egress") or () if way.get("to") == []
    ] == []


def test_openshift_chooses_users_by_itself(chart: Packaged) -> None:
    for _, pod in pod_templates(chart.render("openshift").objects):
        assert set(pod["spec"]["securityContext"]) == {"runAsNonRoot", "seccompProfile"}


def test_a_secret_reaches_the_gateway_by_reference(chart: Packaged) -> None:
    pod = chart.render("postgresql").one("Deployment", "-gateway")["spec"]["template"]["spec"]
    env = {each["name"]: each.get("valueFrom", {}).get("secretKeyRef") for each in pod["containers"][0]["env"]}
    assert env["OPENAI_API_KEY"] == {"name": "openai", "key": "api-key"}
    assert env["FREEHOLD_DATABASE_URL"] == {"name": "freehold-database", "key": "url"}
    assert env["FREEHOLD_ADMIN_KEY"] == {"name": "freehold-admin", "key": "key"}


def test_an_engine_starts_from_what_was_prepared(chart: Packaged) -> None:
    def command(name: str, container: str) -> list[str]:
        _, pod, engine = next(engines(chart.render(name).objects))
        found = {each["name"]: each for each in (*pod["spec"]["initContainers"], engine)}
        return list(found[container]["command"])

    written = command("minimal", "prepare")
    path = written[written.index("--to") + 1]
    assert f". {path.removesuffix('.yaml')}.env; exec vllm serve --config {path}" in command("minimal", "engine")[2]
    assert written[written.index("--engine-version") + 1] == "0.32.0"
    told = command("minimal", "attendant")
    assert told[told.index("--engine-version") + 1] == "0.32.0"
    assert ("--cpu" in written, "--cpu" in command("cpu-only", "prepare")) == (False, True)


def test_a_database_by_url_is_reached_by_all_who_need_it(chart: Packaged, tmp_path: Path) -> None:
    path = tmp_path / "values.yaml"
    values = {
        "deployment": {
            "models": {"a": {"artifact": "a"}},
            "gateway": {"database": "postgresql://u:${DB_PASSWORD}@db.example/d"},
        },
        "artifacts": {"a": {"existing": True}},
        "secretEnv": {"DB_PASSWORD": {"name": "db", "key": "password"}},
    }
    path.write_text(yaml.safe_dump(values))
    render = chart.render(path)
    gateway = render.one("Deployment", "-gateway")["spec"]["template"]["spec"]["containers"][0]
    _, pod, _ = next(engines(render.objects))
    attendant = next(each for each in pod["spec"]["initContainers"] if each["name"] == "attendant")
    for container in (gateway, attendant):
        names = [each["name"] for each in container["env"]]
        assert names.count("DB_PASSWORD") == 1
        assert "FREEHOLD_DATABASE_URL" not in names
    for suffix in ("freehold-gateway", "-engine-a"):
        ways = _policy(render, suffix)["egress"]
        assert {"ports": [{"port": 5432, "protocol": "TCP"}]} in ways
    assert render.of("PersistentVolumeClaim", "-database") == []


POLICY_FILE = "/etc/freehold/policy/policy.yaml"


def test_what_the_policy_says_reaches_everything_that_pulls_prepares_or_trains(chart: Packaged) -> None:
    render = chart.render("air-gapped")
    text = render.one("ConfigMap", "-policy")["data"]["policy.yaml"]
    policy = parse_policy(yaml.safe_load(text), "the ConfigMap", Path())
    assert policy.licenses is not None and policy.licenses.commercial_use == ("yes",), "a bare yes of YAML"
    held = set()
    for owner, pod, container in containers(render.objects):
        if {"name": "FREEHOLD_POLICY", "value": POLICY_FILE} in container.get("env", ()):
            held.add(container["name"])
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
            where = volumes[mounts["/etc/freehold/policy"]]["configMap"]["name"]
            assert where == render.one("ConfigMap", "-policy")["metadata"]["name"], owner["metadata"]["name"]
    assert held == {"prepare", "attendant", "pull-qwen3-8b"}


def test_without_a_policy_nothing_is_mounted(chart: Packaged) -> None:
    render = chart.render("minimal")
    assert not render.of("ConfigMap", "-policy")
    assert not any("FREEHOLD_POLICY" in str(container) for _, _, container in containers(render.objects))


def _under(*licenses: str) -> tuple[str, ...]:
    """Options of a policy with these licences; of none without any."""
    return ("--set-json", f"policy.licenses.allow={json.dumps(licenses)}") if licenses else ()


def test_a_job_is_held_to_the_policy_and_runs_anew_under_another(chart: Packaged) -> None:
    rules = ((), ("MIT", "Apache-2.0"), ("MIT",))
    jobs = [chart.render("jobs", *_under(*allowed)).of("Job")[-1] for allowed in rules]
    assert len({job["metadata"]["name"] for job in jobs}) == 3
    (run,) = jobs[-1]["spec"]["template"]["spec"]["containers"]
    assert {"name": "FREEHOLD_POLICY", "value": POLICY_FILE} in run["env"]


def test_another_policy_restarts_engines_and_pulls_again(chart: Packaged) -> None:
    def seen(rule: str) -> set[str]:
        render = chart.render("minimal", *_under(rule))
        ((_, pod, _),) = engines(render.objects)
        return {pod["metadata"]["annotations"]["checksum/model"], render.one("Job")["metadata"]["name"]}

    assert not seen("MIT") & seen("Apache-2.0")
