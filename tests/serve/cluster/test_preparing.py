"""What `freehold engine prepare` waits for, refuses and writes."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.adapters import add_adapter, add_base
from fixtures.models import add_artifact
from typer.testing import CliRunner

from freehold.core.errors import ConfigError, IntegrityError, NotFoundError, RefusedError, UserError
from freehold.core.store import Artifact, Step, Store
from freehold.serve.cli.engine import app
from freehold.serve.cluster import preparing

MakePod = Callable[..., Any]


async def test_the_files_say_how_the_engine_is_started(make_pod: MakePod, base: Artifact) -> None:
    pod = make_pod(engine={"maxModelLen": 128, "env": {"EXTRA": "a b"}, "extraArgs": ["--seed", "1"]}, adapters={})
    file, variables = pod.prepare()
    content = yaml.safe_load(file.read_text())
    assert content["model"] == str(base.path) and content["served-model-name"] == "alpha"
    assert (content["host"], content["port"], content["max-model-len"], content["seed"]) == (
        "0.0.0.0",
        pod.port,
        128,
        "1",
    )
    assert content["enable-lora"] is True and content["max-lora-rank"] == 64 and content["enable-scale-out"] is True
    lines = variables.read_text().splitlines()
    assert "export VLLM_ALLOW_RUNTIME_LORA_UPDATING=1" in lines and "export EXTRA='a b'" in lines
    assert "export HF_HUB_OFFLINE=1" in lines


async def test_an_old_engine_is_not_asked_for_what_it_lacks(make_pod: MakePod, store: Store) -> None:
    pod = make_pod()
    todo = preparing.Preparation("0.31.0", pod.file)
    file, _ = preparing.prepare(pod.config, "alpha", store, todo, print)
    assert "enable-scale-out" not in yaml.safe_load(file.read_text())


async def test_it_waits_for_the_model_and_its_adapters_and_says_so(
    make_pod: MakePod, store: Store, base: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "LOOK_S", 0.01)
    pod = make_pod(adapters={"support": {"artifact": "support", "accept": ["parity"]}})

    def said() -> bool:
        return any("Waiting for support in the store" in line for line in pod.reports)

    def pull() -> None:
        deadline = time.monotonic() + 30
        while not said() and time.monotonic() < deadline:
            time.sleep(0.01)
        if said():
            add_adapter(store, base)

    pulled = threading.Thread(target=pull)
    pulled.start()
    file, _ = pod.prepare(wait_s=60.0)
    pulled.join()
    assert file.is_file()
    assert said()


async def test_what_does_not_come_in_time_is_an_error_with_its_name(make_pod: MakePod, store: Store) -> None:
    pod = make_pod(adapters={"support": {"artifact": "support"}})
    with pytest.raises(NotFoundError, match="after 0 s: support") as error:
        pod.prepare(wait_s=0.2)
    assert "alpha-" in error.value.why and "freehold pull support" in error.value.next_step
    assert not pod.file.exists()


async def test_a_damaged_model_is_not_prepared(make_pod: MakePod, base: Artifact) -> None:
    (base.path / "model.safetensors").write_bytes(b"other")
    pod = make_pod()
    with pytest.raises(IntegrityError, match=r"damaged: model.safetensors: sha256"):
        pod.prepare()
    assert not pod.file.exists()
    pod.prepare(verify=False)


async def test_a_model_that_has_not_passed_its_gate_is_refused(make_pod: MakePod, store: Store) -> None:
    steps = (Step(name="quantize"),)
    add_artifact(store, "small", {"config.json": b"{}"}, steps=steps, parents=())
    with pytest.raises(RefusedError, match="may not be served"):
        make_pod(artifact="small").prepare()
    make_pod(artifact="small", accept=["quality"]).prepare()


async def test_an_adapter_of_another_base_is_a_problem_with_its_place(make_pod: MakePod, store: Store) -> None:
    add_adapter(store, add_base(store, "beta"), "foreign")
    with pytest.raises(ConfigError, match=r"models\.alpha\.adapters\.support: .*trained on beta"):
        make_pod(adapters={"support": {"artifact": "foreign"}}).prepare()


async def test_a_chat_template_that_is_not_there(make_pod: MakePod, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"models\.alpha\.engine\.chatTemplate: no file"):
        make_pod(engine={"chatTemplate": str(tmp_path / "none.jinja")}).prepare()


async def test_remote_and_unknown_models_are_refused(make_pod: MakePod, store: Store) -> None:
    pod = make_pod()
    with pytest.raises(NotFoundError, match="no model 'beta'"):
        preparing.served_process(pod.config, "beta")
    remote = make_pod(artifact=None, engine={"kind": "remote", "baseUrl": "http://127.0.0.1:9"})
    with pytest.raises(ConfigError, match=r"models\.alpha\.engine\.kind: remote"):
        preparing.served_process(remote.config, "alpha")
    with pytest.raises(ConfigError, match=r"models\.alpha\.engine\.kind: ray; Ray Serve runs it"):
        preparing.served_process(make_pod(engine={"kind": "ray"}).config, "alpha")


def test_the_command(store: Store, base: Artifact, home: Path, tmp_path: Path) -> None:
    (home / "freehold").mkdir()
    (home / "freehold" / "store").symlink_to(store.root)
    config = tmp_path / "freehold.yaml"
    config.write_text("models: {alpha: {artifact: alpha}}\n")
    given = ["prepare", "alpha", "--config", str(config), "--engine-version", "0.32.0", "--to"]
    ended = CliRunner().invoke(app, [*given, str(tmp_path / "engine.yaml"), "--cpu"])
    assert ended.exit_code == 0, ended.output
    assert ended.stdout.splitlines() == [str(tmp_path / "engine.yaml"), str(tmp_path / "engine.env")]
    ended = CliRunner().invoke(app, [*given, str(tmp_path / "engine.json")])
    assert isinstance(ended.exception, UserError) and "vLLM reads .yaml alone" in str(ended.exception)
