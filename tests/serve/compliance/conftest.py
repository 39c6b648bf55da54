"""A house with everything in it that a compliance page has to show."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.adapters import PROBE, add_adapter
from fixtures.models import add_artifact
from fixtures.policies import write_policy
from fixtures.signing import make_key

from freehold.core.gates import Verdict, record_evaluation, record_verdict
from freehold.core.hub.lockfile import LockedModel, update_lock
from freehold.core.settings import Settings, load_settings
from freehold.core.signing import Signer, sign_artifact
from freehold.core.store import Artifact, EvaluationRecord, FileRecord, SourceRecord, Step, Store

COMMIT = "c0ffee" + "0" * 34
FETCHED = (FileRecord(path="model.safetensors", size_bytes=7, sha256="0" * 64),)
RECORD = {"retentionDays": 14, "percent": 5}
QUANTIZED = b'{"quantization_config": {"quant_method": "compressed-tensors"}}'


@dataclass
class House:
    """A deployment, its store, and the files beside it."""

    folder: Path
    settings: Settings
    store: Store
    base: Artifact
    adapter: Artifact
    config: Path
    lock: Path
    policy: Path
    key: Path

    def rewrite(self, **changes: Any) -> None:
        """Change keys of the deployment."""
        document = yaml.safe_load(self.config.read_text()) | changes
        self.config.write_text(yaml.safe_dump(document))

    @property
    def options(self) -> list[str]:
        """Of `freehold audit`."""
        return ["--config", str(self.config), "--lock-file", str(self.lock)]


@pytest.fixture
def house(home: Path, tmp_path: Path) -> House:
    """A model from the hub that was quantized here, with an adapter, both promoted, judged and signed; a remote one."""
    settings = load_settings()
    store = Store(settings.store_root)
    source = SourceRecord(kind="hub", location="Qwen/Qwen3-8B", revision="main", commit=COMMIT, files=FETCHED)
    pulled = add_artifact(
        store, "qwen", {"config.json": b'{"dtype": "bfloat16"}'}, source=source, license="apache-2.0", probe=PROBE
    )
    step = Step(
        name="quantize",
        parameters={
            "method": "fp8",
            "base_digest": pulled.lineage.digest,
            "calibration": {"digest": "ca11", "samples": 8},
        },
        versions={"llmcompressor": "0.14"},
    )
    files = {"config.json": QUANTIZED, "model.safetensors": b"weights"}
    base = add_artifact(
        store, "qwen-fp8", files, parents=(pulled.id,), steps=(step,), license="apache-2.0", probe=PROBE
    )
    record_verdict(store, Verdict(gate="quality", artifact=base.id, passed=True, measurements={"divergence": 0.01}))
    verdict = EvaluationRecord(suite="safety", baseline="gpt-4o-mini", decision="replace", reasons=("as good: 0.91",))
    base = record_evaluation(store, base, verdict)
    adapter = record_evaluation(store, add_adapter(store, base), verdict)
    key = make_key(tmp_path)
    for artifact in (base, adapter):
        sign_artifact(store, artifact, Signer(key.private))
    lock = tmp_path / "freehold.lock"
    locked = LockedModel(kind="hub", location="Qwen/Qwen3-8B", revision="main", commit=COMMIT, files=FETCHED)
    update_lock(lock, "qwen3-8b", locked)
    policy = write_policy(
        tmp_path / "policy.yaml",
        licenses={"commercialUse": [True]},
        publishers={"allow": ["hub:Qwen/*"]},
        formats={"allow": ["safetensors"]},
        signatures={"keys": ["site.pub"]},
        evaluations={"suites": ["safety"], "maxAgeDays": 30},
        gates={"require": ["quality", "parity", "probe"]},
    )
    config = tmp_path / "freehold.yaml"
    document = {
        "models": {
            "chat": {"artifact": base.id, "adapters": {"support": {"artifact": adapter.id}}},
            "far": {"engine": {"kind": "remote", "baseUrl": "http://10.0.0.7:8000"}},
        },
        "routes": {
            "help": {
                "targets": {"chat": 1},
                "fallback": "openai/gpt-4o-mini",
                "record": {"retentionDays": 14, "percent": 5},
            },
            "plain": {"targets": {"chat": 1}},
        },
        "upstreams": {"openai": {"baseUrl": "https://api.openai.com/v1"}},
        "gateway": {"auth": "keys", "media": {"allowedDomains": ["images.example.com"]}},
        "policy": "policy.yaml",
    }
    config.write_text(yaml.safe_dump(document))
    return House(tmp_path, settings, store, base, adapter, config, lock, policy, key.private)
