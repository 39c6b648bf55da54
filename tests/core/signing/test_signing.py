"""Signatures of artifacts: by key and by certificate, and everything that must not pass as one."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.models import add_artifact
from fixtures.signing import issue, make_key

from freehold.core.errors import ConfigError, IntegrityError, NotFoundError, RefusedError, UserError
from freehold.core.signing import Signer, Trust, add_signature, check, sign_artifact, signatures, verify
from freehold.core.store import Artifact, Store

FILES = {"config.json": b"{}", "model.safetensors": b"weights" * 1000}


@pytest.fixture
def artifact(store: Store) -> Artifact:
    return add_artifact(store, "tuned", FILES)


def _problem(store: Store, artifact: Artifact, trust: Trust) -> str:
    (found,) = check(store, artifact, trust)
    return found.problem


def test_a_key_signs_and_its_public_half_verifies(store: Store, artifact: Artifact, tmp_path: Path) -> None:
    pair = make_key(tmp_path)
    made = sign_artifact(store, artifact, Signer(pair.private))
    assert made.kind == "key" and made.digests.keys() == FILES.keys()
    assert signatures(store, artifact) == [made]
    assert verify(store, artifact, Trust.load([pair.public])) == made
    assert verify(store, artifact, Trust.load([pair.public.read_text()])) == made, "as a text in a config"


def test_a_certificate_signs_and_its_authority_verifies(store: Store, artifact: Artifact, tmp_path: Path) -> None:
    issued = issue(tmp_path)
    made = sign_artifact(store, artifact, Signer(issued.key, issued.certificate))
    assert (made.kind, made.signer) == ("certificate", "CN=Models")
    assert verify(store, artifact, Trust.load(certificates=[issued.authority])) == made


def test_what_another_key_or_authority_signed_is_not_trusted(store: Store, artifact: Artifact, tmp_path: Path) -> None:
    sign_artifact(store, artifact, Signer(make_key(tmp_path).private))
    assert "is not trusted" in _problem(store, artifact, Trust.load([make_key(tmp_path, "other").public]))
    assert "is not trusted" in _problem(store, artifact, Trust.load(certificates=[issue(tmp_path).authority]))


def test_a_certificate_of_a_strange_authority_of_the_same_name_does_not_hold(
    store: Store, artifact: Artifact, tmp_path: Path
) -> None:
    theirs, ours = issue(tmp_path / "theirs"), issue(tmp_path / "ours")
    sign_artifact(store, artifact, Signer(theirs.key, theirs.certificate))
    assert "not issued under one that is trusted" in _problem(
        store, artifact, Trust.load(certificates=[ours.authority])
    )


def test_trusting_nobody_verifies_nothing(store: Store, artifact: Artifact, tmp_path: Path) -> None:
    issued = issue(tmp_path)
    sign_artifact(store, artifact, Signer(issued.key, issued.certificate))
    assert "trusted: nobody" in _problem(store, artifact, Trust.load())
    assert not Trust.load()


def test_an_artifact_without_a_signature_is_refused_with_the_command(store: Store, artifact: Artifact) -> None:
    assert check(store, artifact, Trust.load()) == []
    with pytest.raises(RefusedError, match="it has no signature") as refused:
        verify(store, artifact, Trust.load())
    assert f"freehold store sign {artifact.id}" in refused.value.next_step


@pytest.mark.parametrize("part", ["digest", "name", "ignored"])
def test_a_changed_statement_does_not_hold(store: Store, artifact: Artifact, tmp_path: Path, part: str) -> None:
    pair = make_key(tmp_path)
    path = sign_artifact(store, artifact, Signer(pair.private)).path
    bundle = json.loads(path.read_text())
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    predicate = statement["predicate"]
    if part == "digest":
        predicate["resources"][0]["digest"] = "0" * 64
    elif part == "name":
        predicate["resources"][0]["name"] = "elsewhere.json"
    else:
        predicate["serialization"]["ignore_paths"] = ["model.safetensors"]
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    path.write_text(json.dumps(bundle))
    assert "changed after it was signed" in _problem(store, artifact, Trust.load([pair.public]))


def test_a_signature_of_other_files_does_not_hold(store: Store, artifact: Artifact, tmp_path: Path) -> None:
    pair = make_key(tmp_path)
    other = add_artifact(store, "tuned", FILES | {"model.safetensors": b"poisoned"})
    path = sign_artifact(store, other, Signer(pair.private)).path
    folder = store.signature_folder(artifact.id)
    folder.mkdir(parents=True)
    (folder / path.name).write_bytes(path.read_bytes())
    assert "Hash mismatch for 'model.safetensors'" in _problem(store, artifact, Trust.load([pair.public]))
    with pytest.raises(IntegrityError, match="they differ in model.safetensors"):
        add_signature(store, artifact, path)


def test_a_signature_of_fewer_files_does_not_hold(store: Store, artifact: Artifact, tmp_path: Path) -> None:
    pair = make_key(tmp_path)
    folder = store.signature_folder(artifact.id)
    folder.mkdir(parents=True)
    Signer(pair.private).sign(
        artifact.id, artifact.lineage.files[:1], folder / "few.json", ignored=["model.safetensors"]
    )
    assert "Extra files" in _problem(store, artifact, Trust.load([pair.public]))


def test_bytes_that_changed_after_signing_are_found_by_name(store: Store, artifact: Artifact, tmp_path: Path) -> None:
    pair = make_key(tmp_path)
    sign_artifact(store, artifact, Signer(pair.private))
    weights = artifact.path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"S")
    with pytest.raises(IntegrityError, match=r"model\.safetensors: sha256"):
        verify(store, artifact, Trust.load([pair.public]))
    with pytest.raises(IntegrityError, match=r"is not signed.*model\.safetensors"):
        sign_artifact(store, artifact, Signer(pair.private))


@pytest.mark.slow
def test_it_is_what_the_packages_own_command_makes_and_takes(store: Store, artifact: Artifact, tmp_path: Path) -> None:
    pair = make_key(tmp_path)
    made = sign_artifact(store, artifact, Signer(pair.private))
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(artifact.path)]
    command += ["--signature", str(made.path), "--public_key", str(pair.public)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    theirs = tmp_path / "theirs.json"
    command = [sys.executable, "-m", "model_signing", "sign", "key", str(artifact.path), "--signature", str(theirs)]
    command += ["--private_key", str(pair.private), "--ignore-paths", str(artifact.path / "freehold.json")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    add_signature(store, artifact, theirs)
    assert verify(store, artifact, Trust.load([pair.public])).kind == "key"


def test_signatures_go_with_their_artifact(store: Store, artifact: Artifact, tmp_path: Path) -> None:
    path = sign_artifact(store, artifact, Signer(make_key(tmp_path).private)).path
    store.remove(artifact)
    assert not path.exists()


def test_an_encrypted_key_needs_its_password(store: Store, artifact: Artifact, tmp_path: Path) -> None:
    pair = make_key(tmp_path, password=b"secret")
    with pytest.raises(UserError, match="cannot sign"):
        sign_artifact(store, artifact, Signer(pair.private))
    with pytest.raises(UserError, match="cannot sign"):
        sign_artifact(store, artifact, Signer(pair.private, password="wrong"))
    assert sign_artifact(store, artifact, Signer(pair.private, password="secret"))


def test_wrong_files_of_keys_are_errors_with_their_names(store: Store, artifact: Artifact, tmp_path: Path) -> None:
    pair, issued = make_key(tmp_path), issue(tmp_path)
    with pytest.raises(NotFoundError, match="missing.key"):
        sign_artifact(store, artifact, Signer(tmp_path / "missing.key"))
    with pytest.raises(UserError, match="does not match"):
        sign_artifact(store, artifact, Signer(pair.private, issued.certificate))
    with pytest.raises(ConfigError) as refused:
        Trust.load([pair.private, issued.authority, tmp_path / "none.pub"], [pair.public])
    assert len(refused.value.problems) == 4
    assert "a private key" in refused.value.problems[1] or "a private key" in refused.value.problems[0]


def test_a_file_that_is_no_signature_is_an_error_and_no_pass(store: Store, artifact: Artifact) -> None:
    folder = store.signature_folder(artifact.id)
    folder.mkdir(parents=True)
    (folder / "junk.json").write_text('{"verificationMaterial": []}')
    with pytest.raises(IntegrityError, match=r"junk\.json is no signature"):
        check(store, artifact, Trust.load())


def test_looking_at_signatures_imports_no_torch_and_no_model_signing() -> None:
    code = "import sys, freehold.core.signing; print([m for m in ('torch', 'model_signing') if m in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
