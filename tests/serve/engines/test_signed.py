"""Signatures at load: in `freehold serve`, in a pod's preparation, and for adapters."""

import asyncio
import base64
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fixtures.adapters import add_adapter, add_base
from fixtures.signing import KeyPair, issue, make_key

from freehold.core.errors import ConfigError, IntegrityError, RefusedError
from freehold.core.settings import Settings
from freehold.core.signing import Signer, sign_artifact
from freehold.core.store import Artifact, Store
from freehold.serve.cluster import preparing
from freehold.serve.config import DeploymentConfig, SignaturesConfig, parse_config
from freehold.serve.config import ProcessEngine as ProcessConfig
from freehold.serve.engines.engine import EngineState
from freehold.serve.engines.fleet import build_fleet
from freehold.serve.engines.process import EngineRuntime, ProcessEngine
from freehold.serve.engines.signed import SignedOnly

STUB = Path(__file__).parents[2] / "fixtures" / "stub_vllm"


@pytest.fixture
def key(tmp_path: Path) -> KeyPair:
    return make_key(tmp_path)


@pytest.fixture
def base(store: Store) -> Artifact:
    return add_base(store)


def deployment(key: KeyPair, base: Artifact, **signatures: Any) -> DeploymentConfig:
    asked = {"keys": [key.public.read_text()], **signatures}
    adapters = {"support": {"artifact": "support", "accept": ["parity"]}}
    served = {"artifact": base.id, "adapters": adapters, "engine": {"python": sys.executable}}
    return parse_config({"models": {"alpha": served}, "signatures": asked}, "test")


def flip(artifact: Artifact) -> str:
    """Change a byte of the largest file; returns its name."""
    record = max(artifact.lineage.files, key=lambda one: one.size_bytes)
    path = artifact.path / record.path
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    return record.path


def prepare(config: DeploymentConfig, store: Store, tmp_path: Path) -> Path:
    todo = preparing.Preparation("0.32.0", tmp_path / "vllm.yaml", verify=False)
    return preparing.prepare(config, "alpha", store, todo, print)[0]


def test_a_pod_loads_what_is_signed_and_nothing_else(
    store: Store, base: Artifact, key: KeyPair, tmp_path: Path
) -> None:
    config, adapter = deployment(key, base), add_adapter(store, base)
    with pytest.raises(RefusedError, match="it has no signature") as refused:
        prepare(config, store, tmp_path)
    assert f"freehold store sign {base.id}" in refused.value.next_step
    sign_artifact(store, base, Signer(key.private))
    with pytest.raises(ConfigError, match=rf"adapters\.support: {adapter.id} is not signed"):
        prepare(config, store, tmp_path)
    sign_artifact(store, adapter, Signer(key.private))
    assert prepare(config, store, tmp_path).is_file()
    name = flip(base)
    with pytest.raises(IntegrityError, match=name):
        prepare(config, store, tmp_path)


def test_the_config_says_all_that_is_not_signed_before_anything_starts(
    store: Store, base: Artifact, key: KeyPair, tmp_path: Path
) -> None:
    adapter = add_adapter(store, base)
    settings = Settings(home=tmp_path / "home")
    sign_artifact(store, base, Signer(make_key(tmp_path, "stranger").private))
    with pytest.raises(ConfigError) as refused:
        build_fleet(deployment(key, base), settings, store)
    (problem,) = refused.value.problems
    assert problem.startswith(f"models.alpha: {base.id} is not signed by anybody") and "is not trusted" in problem
    sign_artifact(store, base, Signer(key.private))
    with pytest.raises(ConfigError) as refused:
        build_fleet(deployment(key, base), settings, store)
    (problem,) = refused.value.problems
    assert problem.startswith(f"models.alpha.adapters.support: {adapter.id} is not signed")


def test_what_need_not_be_signed_may_not_be_changed_either(
    store: Store, base: Artifact, key: KeyPair, tmp_path: Path
) -> None:
    signed = SignedOnly.of(SignaturesConfig(keys=(str(key.public),), required=False), store)
    assert signed is not None
    signed.verify(base)
    sign_artifact(store, base, Signer(make_key(tmp_path, "stranger").private))
    signed.verify(base)  # nobody whom we know has said anything
    sign_artifact(store, base, Signer(key.private))
    signed.verify(base)
    name = flip(base)
    with pytest.raises(IntegrityError, match=name):
        signed.verify(base)


def test_a_broken_signature_of_somebody_trusted_is_no_missing_one(store: Store, base: Artifact, key: KeyPair) -> None:
    path = sign_artifact(store, base, Signer(key.private)).path
    bundle = json.loads(path.read_text())
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    statement["subject"][0]["name"] = "another"
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    path.write_text(json.dumps(bundle))
    signed = SignedOnly.of(SignaturesConfig(keys=(str(key.public),), required=False), store)
    assert signed is not None
    with pytest.raises(IntegrityError, match="changed after it was signed"):
        signed.check(base)


def test_certificates_count_as_keys_do(store: Store, base: Artifact, tmp_path: Path) -> None:
    issued = issue(tmp_path)
    sign_artifact(store, base, Signer(issued.key, issued.certificate))
    signed = SignedOnly.of(SignaturesConfig(certificates=(str(issued.authority),)), store)
    assert signed is not None and signed.check(base)


def test_a_section_that_believes_nobody_is_an_error() -> None:
    with pytest.raises(ConfigError, match="nobody is believed"):
        parse_config({"models": {"a": {"artifact": "a"}}, "signatures": {}}, "test")


def test_keys_that_cannot_be_read_are_told_before_anything_starts(store: Store, base: Artifact, tmp_path: Path) -> None:
    config = parse_config(
        {"models": {"alpha": {"artifact": base.id}}, "signatures": {"keys": [str(tmp_path / "none.pub")]}}, "test"
    )
    with pytest.raises(ConfigError, match=r"none\.pub"):
        build_fleet(config, Settings(home=tmp_path), store)


@pytest.fixture
def engine(store: Store, base: Artifact, key: KeyPair, tmp_path: Path) -> tuple[ProcessEngine, list[str]]:
    """A stub of vLLM under supervision, which loads what the key has signed."""
    reports: list[str] = []
    env = {"PYTHONPATH": str(STUB), "STUB_LIVES": str(tmp_path / "lives"), "STUB_FAULT": ""}
    config = ProcessConfig.model_validate({"env": env, "restart": {"backoffS": 0.05}})
    runtime = EngineRuntime(Path(sys.executable), "stub 1", has_gpu=False, log=tmp_path / "engine.log")
    signed = SignedOnly.of(SignaturesConfig(keys=(str(key.public),)), store)
    return ProcessEngine("alpha", base, config, runtime, reports.append, None, signed), reports


async def until(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not claim():
            await asyncio.sleep(0.01)


async def test_an_engine_starts_only_with_the_bytes_that_were_signed(
    engine: tuple[ProcessEngine, list[str]], store: Store, base: Artifact, key: KeyPair, tmp_path: Path
) -> None:
    """Whoever changed them after the config was checked is found as well: it is asked right before the start."""
    running, reports = engine
    sign_artifact(store, base, Signer(key.private))
    name = flip(base)
    await running.start()
    await until(lambda: running.state is EngineState.FAILED)
    await running.stop()
    assert name in reports[-1] and "is not what" in reports[-1]
    assert not (tmp_path / "lives").exists(), "nothing was loaded"


async def test_an_engine_with_a_signature_that_holds_starts(
    engine: tuple[ProcessEngine, list[str]], store: Store, base: Artifact, key: KeyPair
) -> None:
    running, reports = engine
    sign_artifact(store, base, Signer(key.private))
    await running.start()
    try:
        await until(lambda: running.state in (EngineState.READY, EngineState.FAILED))
        assert running.state is EngineState.READY, reports
        assert any("verifying signatures" in line for line in reports)
    finally:
        await running.stop()
