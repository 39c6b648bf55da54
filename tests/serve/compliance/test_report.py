"""What the compliance page says of a deployment, and that it says what is wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fixtures.adapters import add_adapter
from fixtures.audited import House
from fixtures.models import add_artifact, hub_source
from fixtures.policies import write_policy
from typer.testing import CliRunner

from freehold.core.errors import GateError, NotFoundError, UserError
from freehold.core.gates import Verdict, record_verdict
from freehold.core.signing import Signer, sign_artifact
from freehold.core.store import Store
from freehold.serve.cli.audit import app
from freehold.serve.compliance.gathering import Sources, report_of_deployment
from freehold.serve.compliance.page import as_page
from freehold.serve.config import load_config
from freehold.serve.state.adapters import add_adapter as ask_for
from freehold.serve.state.database import default_url, open_database
from freehold.serve.state.key_fields import NewKey
from freehold.serve.state.keys import KeyStore
from freehold.serve.state.migrating import migrate

Audit = Callable[..., dict[str, Any]]


@pytest.fixture
def audit(house: House) -> Audit:
    """`freehold audit --format json`."""

    def run(*options: str) -> dict[str, Any]:
        ended = CliRunner().invoke(app, [*house.options, "--format", "json", *options], catch_exceptions=False)
        assert ended.exit_code == 0
        document: dict[str, Any] = json.loads(ended.stdout)
        return document

    return run


def named(document: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in document["served"] if one["name"] == name)
    return found


def test_a_house_in_order_has_no_findings(house: House, audit: Audit) -> None:
    document = audit("--verify", "--strict")
    assert document["is_clean"] is True
    assert [(one["name"], one["kind"], one["verdict"]) for one in document["served"]] == [
        ("chat", "model", "allowed"),
        ("support", "adapter", "allowed"),
        ("far", "remote", "not known"),
    ]
    assert document["policies"] == [str(house.policy)] and document["lock"] == str(house.lock)


def test_each_fact_of_a_model_is_there(house: House, audit: Audit) -> None:
    artifact = named(audit("--verify"), "chat")["artifact"]
    assert (artifact["id"], artifact["quantization"]) == (house.base.id, "fp8 (compressed-tensors)")
    assert artifact["files"] | {"size_bytes": 0} == {
        "count": 2,
        "size_bytes": 0,
        "digest": house.base.lineage.digest,
        "state": "verified",
        "problems": [],
    }
    made, pulled = artifact["chain"]
    (change,) = made["changes"]
    assert (change["name"], change["parameters"]["method"]) == ("quantize", "fp8")
    assert (change["datasets"], change["versions"]) == ({"calibration": "ca11"}, {"llmcompressor": "0.14"})
    assert made["parents"] == [pulled["id"]]
    where = {key: pulled[key] for key in ("source", "revision", "lock", "manifest", "publisher")}
    assert where == {
        "source": "hub:Qwen/Qwen3-8B",
        "revision": "main",
        "lock": "as locked",
        "manifest": "qwen3-8b",
        "publisher": "Qwen",
    }
    license = pulled["license"]
    assert (license["names"], license["commercial_use"]) == (["Apache-2.0"], "yes")
    assert license["obligations"] and license["url"].startswith("https://")
    (gate,) = artifact["gates"]
    assert (gate["gate"], gate["passed"], gate["measurements"]) == ("quality", True, {"divergence": 0.01})
    (evaluation,) = artifact["evaluations"]
    assert (evaluation["suite"], evaluation["decision"], evaluation["reasons"]) == (
        "safety",
        "replace",
        ["as good: 0.91"],
    )
    assert evaluation["promoted_at"][:4].isdigit() and gate["judged_at"][:4].isdigit()
    assert [signed["state"] for signed in artifact["signatures"]] == ["trusted"]


def test_an_adapter_comes_with_its_base_and_its_gates(house: House, audit: Audit) -> None:
    support = named(audit(), "support")
    chain = [link["id"] for link in support["artifact"]["chain"]]
    assert chain[:2] == [house.adapter.id, house.base.id] and len(chain) == 3
    assert [(gate["gate"], gate["passed"]) for gate in support["artifact"]["gates"]] == [
        ("parity", True),
        ("quality", True),
    ]
    assert support["model"] == "chat"


def broken(document: dict[str, Any], name: str = "chat") -> dict[str, str]:
    rules = named(document, name)["rules"]
    return {rule["rule"]: "; ".join(rule["problems"]) for rule in rules if rule["result"] == "broken"}


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        ({"licenses": {"allow": ["MIT"]}}, "is under Apache-2.0; allowed are MIT"),
        ({"publishers": {"allow": ["hub:acme/*"]}}, "came from hub:Qwen/Qwen3-8B"),
        ({"formats": {"allow": ["gguf"]}}, "holds safetensors"),
        ({"signatures": {"keys": ["other.pub"]}}, "is not signed by anybody trusted"),
        ({"evaluations": {"suites": ["support"]}}, "was not promoted with support"),
        ({"gates": {"require": ["probe"]}}, "would be served without the golden probe"),
    ],
)
def test_each_broken_rule_is_told(house: House, audit: Audit, rules: dict[str, Any], problem: str) -> None:
    from fixtures.signing import make_key

    make_key(house.folder, "other")
    write_policy(house.policy, **rules)
    model = {"artifact": house.base.id, "engine": {"probe": "off"}}
    house.rewrite(models={"chat": model}, routes={}, upstreams={})
    document = audit()
    (rule,) = rules
    assert list(broken(document)) == [rule] and problem in broken(document)[rule]
    assert (named(document, "chat")["verdict"], document["is_clean"]) == ("forbidden", False)
    ended = CliRunner().invoke(app, [*house.options, "--strict"])
    assert isinstance(ended.exception, GateError)
    assert f"chat: policy rule '{rule}' of {house.policy}: " in ended.stderr


def damage(house: House) -> None:
    path = house.base.path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"S")


def shorten(house: House) -> None:
    (house.base.path / "model.safetensors").write_bytes(b"")


def lose(house: House) -> None:
    (house.base.path / "model.safetensors").unlink()


def relock(house: House) -> None:
    house.lock.write_text(house.lock.read_text().replace('"' + "0" * 64, '"' + "1" * 64))


@pytest.mark.parametrize(
    ("harm", "options", "problem"),
    [
        (damage, ("--verify",), "file model.safetensors: sha256"),
        (shorten, (), "file model.safetensors: 0 bytes, recorded 7"),
        (lose, (), "file model.safetensors: missing"),
        (relock, (), "its files are not those of the lock"),
    ],
)
def test_what_is_not_as_it_was_is_told(
    house: House, audit: Audit, harm: Callable[[House], None], options: tuple[str, ...], problem: str
) -> None:
    harm(house)
    document = audit(*options)
    assert any(problem in one for one in named(document, "chat")["problems"])
    assert document["is_clean"] is False


def test_without_reading_the_page_does_not_say_verified(house: House, audit: Audit) -> None:
    damage(house)
    assert named(audit(), "chat")["artifact"]["files"]["state"] == "present"


def test_an_artifact_that_is_not_there_and_a_parent_that_is_gone_are_told(house: House, audit: Audit) -> None:
    orphan = add_artifact(house.store, "orphan", {"config.json": b"{}"}, parents=("gone-0123456789ab",))
    house.rewrite(models={"chat": {"artifact": "nowhere"}, "bot": {"artifact": orphan.id}}, routes={}, upstreams={})
    document = audit()
    assert "No artifact 'nowhere' in the store" in named(document, "chat")["problems"][0]
    assert named(document, "chat")["verdict"] == "not known"
    assert any("gone-0123456789ab: not in the store" in one for one in named(document, "bot")["problems"])


def test_no_policy_is_said_and_is_no_pass(house: House, audit: Audit) -> None:
    house.rewrite(policy=None)
    document = audit()
    assert (document["policies"], named(document, "chat")["verdict"]) == ([], "no policy")
    assert named(document, "chat")["artifact"]["signatures"][0]["state"] == "not checked"


def test_a_signature_of_somebody_else_is_not_shown_as_trusted(house: House, audit: Audit) -> None:
    from fixtures.signing import make_key

    sign_artifact(house.store, house.base, Signer(make_key(house.folder, "other").private))
    states = [signed["state"] for signed in named(audit(), "chat")["artifact"]["signatures"]]
    assert sorted(state == "trusted" for state in states) == [False, True]
    assert any("is not trusted" in state for state in states)


def test_adapters_that_were_loaded_at_runtime_are_there(house: House, audit: Audit) -> None:
    database = open_database(default_url(house.settings.home))
    migrate(database)
    later = add_adapter(house.store, house.base, "later", seed=3, verdict=None)
    database.call(lambda connection: ask_for(connection, "chat", "later", later.id, ("parity",)))
    database.close()
    document = audit()
    found = named(document, "later")
    assert (found["kind"], found["artifact"]["id"], found["accepted"]) == ("adapter", later.id, ["parity"])
    assert set(broken(document, "later")) == {"signatures", "evaluations", "gates"}


# -- what may leave ----------------------------------------------------------------------------------------------------


def test_what_may_leave_and_what_is_kept(house: House, audit: Audit) -> None:
    database = open_database(default_url(house.settings.home))
    migrate(database)
    keys = KeyStore(database)
    leaving, _ = keys.create(NewKey(name="research", team="lab", owner="ada", label="may-leave", routes=["help"]))
    keys.create(NewKey(name="inside"))
    gone, _ = keys.create(NewKey(name="old", label="may-leave"))
    keys.revoke(gone.id)
    database.close()
    egress = audit()["egress"]
    assert [(one["name"], one["address"], one["leaves"], one["routes"]) for one in egress["exits"]] == [
        ("openai", "https://api.openai.com", True, ["help"]),
        ("far", "http://10.0.0.7:8000", True, ["far"]),
    ]
    assert egress["keys"] == [
        {"id": leaving.id, "name": "research", "team": "lab", "owner": "ada", "scope": "route help"}
    ]
    assert egress["media_domains"] == ["images.example.com"]
    assert egress["recordings"] == [{"route": "help", "percent": 5.0, "redacted": False, "retention_days": 14}]


def test_keys_that_cannot_be_read_are_not_none(house: House, audit: Audit) -> None:
    egress = audit()["egress"]
    assert egress["keys"] is None and "there is no file" in egress["keys_problem"]
    assert not Path(default_url(house.settings.home).removeprefix("sqlite:///")).exists(), "looking makes nothing"


def test_without_keys_everybody_may_leave(house: House, audit: Audit) -> None:
    house.rewrite(gateway={"auth": "none"})
    assert audit()["egress"]["asks_for_keys"] is False


# -- the page ----------------------------------------------------------------------------------------------------------


def page_of(house: House) -> str:
    config = load_config(house.config)
    sources = Sources.here(house.settings, house.lock, config)
    return as_page(report_of_deployment(config, str(house.config), sources))


def test_the_page_says_it_all_in_one_file(house: House) -> None:
    target = house.folder / "audit.html"
    ended = CliRunner().invoke(app, [*house.options, "--html", str(target)], catch_exceptions=False)
    assert ended.exit_code == 0 and f"Written: {target}" in ended.stderr
    page = target.read_text()
    for text in (
        house.base.id,
        "hub:Qwen/Qwen3-8B",
        COMMIT_TEXT,
        "commercial use allowed",
        "fp8 (compressed-tensors)",
        "quality gate",
        "suite safety against gpt-4o-mini",
        "https://api.openai.com",
        "14 days",
        "No findings",
        "its files are as locked",
    ):
        assert text in page, text
    assert "<script" not in page and "<link" not in page and " src=" not in page, "nothing from elsewhere"


COMMIT_TEXT = "@c0ffee"


def test_texts_from_elsewhere_are_escaped(house: House) -> None:
    evil = '<img src=x onerror="alert(1)">'
    artifact = add_artifact(
        house.store, "evil", {"config.json": b"{}"}, source=hub_source(evil, "a" * 40), license=evil
    )
    record_verdict(house.store, Verdict(gate="quality", artifact=artifact.id, passed=False, reasons=(evil,)))
    house.rewrite(models={"chat": {"artifact": artifact.id}}, routes={}, upstreams={})
    page = page_of(house)
    assert "<img" not in page and "&lt;img" in page


def test_a_page_with_findings_begins_with_them(house: House) -> None:
    write_policy(house.policy, licenses={"allow": ["MIT"]})
    page = page_of(house)
    assert page.index("is under Apache-2.0; allowed are MIT") < page.index("Models and adapters")
    assert "stand against" in page


def test_the_table_is_a_line_each(house: House) -> None:
    ended = CliRunner().invoke(app, house.options, catch_exceptions=False)
    head, *lines = ended.stdout.splitlines()
    assert head.split() == ["NAME", "KIND", "ARTIFACT", "LICENSE", "SOURCE", "FILES", "EVALUATED", "POLICY"]
    assert [line.split()[0] for line in lines] == ["chat", "support", "far"]
    assert lines[0].split()[-1] == "allowed"


def test_nothing_to_look_at_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ended = CliRunner().invoke(app, [])
    assert isinstance(ended.exception, UserError) and "freehold audit log" in ended.exception.next_step


def test_a_policy_that_is_gone_is_an_error_here_too(house: House) -> None:
    house.policy.unlink()
    ended = CliRunner().invoke(app, house.options)
    assert isinstance(ended.exception, NotFoundError)


def test_the_old_name_of_the_log_still_works(home: Path) -> None:
    for name in ("log", "list"):
        ended = CliRunner().invoke(app, [name])
        assert isinstance(ended.exception, NotFoundError) and "There is no audit log" in str(ended.exception)


def test_a_store_is_not_needed_to_say_so(house: House, audit: Audit) -> None:
    house.settings.store_root.rename(house.folder / "away")
    assert Store(house.settings.store_root).artifacts() == []
    assert named(audit(), "chat")["problems"]
