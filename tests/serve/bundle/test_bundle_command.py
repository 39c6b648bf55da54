"""`freehold bundle` and `freehold store sign|signatures` through the real command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from fixtures.bundles import Inside, Outside
from typer.testing import CliRunner

from freehold.core.cli.store import app as store_app
from freehold.core.errors import FreeholdError, IntegrityError, RefusedError, UserError
from freehold.serve.cli.bundle import app, bundle_name, size_bytes


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=True)


def failed(result: Result) -> FreeholdError:
    assert isinstance(result.exception, FreeholdError), result.output
    return result.exception


@pytest.fixture
def created(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FREEHOLD_HOME", str(outside.settings.home))
    monkeypatch.chdir(outside.folder)
    done = run("create", "-o", "site.tar.zst", "--key", "site.key", "--wheels", "wheels", "--format", "json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["name"] == "site" and [one["file"] for one in said["files"]] == ["site.tar.zst"]
    return outside.folder / "site.tar.zst"


def test_create_show_verify_install(created: Path, inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = run("show", str(created))
    assert "2 for given" in shown.stdout and "chart/freehold-" in shown.stdout
    assert json.loads(run("show", str(created), "--format", "json").stdout)["is_signed"] is True
    verified = run("verify", str(created), "--trust-key", "site.pub")
    assert "members verified, signed by key " in verified.stdout
    monkeypatch.setenv("FREEHOLD_HOME", str(inside.settings.home))
    done = run("install", str(created), "--trust-key", "site.pub", "--format", "json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["folder"] == str(inside.site)
    assert "&& freehold serve freehold.yaml --offline" in run("install", str(created), "--trust-key", "site.pub").stderr


def test_verify_lists_everything_that_is_damaged(created: Path) -> None:
    data = bytearray(created.read_bytes())
    for place in (0.4, 0.6):
        data[int(place * len(data))] ^= 1
    created.write_bytes(data)
    done = run("verify", str(created), "--trust-key", "site.pub", "--format", "json")
    rows = json.loads(done.stdout)
    assert isinstance(failed(done), IntegrityError) and len(rows) >= 1
    assert all("is damaged in the bundle" in row["problem"] for row in rows)


def test_what_cannot_be_is_refused_before_anything_is_done(created: Path) -> None:
    assert isinstance(failed(run("verify", str(created))), RefusedError)
    assert "--no-wheels cannot be combined" in str(failed(run("create", "--no-wheels", "--python", "3.12")))
    assert "need --key" in str(failed(run("create", "--certificate", "site.pub")))
    assert "No file none.key" in str(failed(run("create", "-o", "b.tar.zst", "--key", "none.key", "--no-wheels")))
    assert "is no size of a part" in str(failed(run("create", "-o", "b.tar.zst", "--part-size", "4 parsec")))


def test_an_unsigned_bundle_is_said_to_be_one(created: Path) -> None:
    done = run("create", "-o", "unsigned.tar.zst", "--no-wheels", "--no-chart")
    assert "will not be signed" in done.stderr
    assert "signed by nobody" in run("verify", "unsigned.tar.zst", "--accept-unsigned").stdout


@pytest.mark.parametrize(
    ("text", "expected"), [("4GiB", 4 << 30), ("700MB", 700_000_000), ("1.5gib", 3 << 29), ("65536", 65536)]
)
def test_sizes_are_read_as_they_are_written(text: str, expected: int) -> None:
    assert size_bytes(text) == expected


@pytest.mark.parametrize("text", ["", "4", "GiB", "-4GiB", "4TiB", "0GiB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="is no size of a part"):
        size_bytes(text)


def test_a_bundle_is_named_by_its_file_and_never_leads_out() -> None:
    assert bundle_name(None, Path("out/plant-7.tar.zst")) == "plant-7"
    with pytest.raises(UserError, match="cannot name a bundle"):
        bundle_name("../plant", Path("x"))


def test_an_artifact_is_signed_and_its_signatures_listed(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FREEHOLD_HOME", str(outside.settings.home))
    monkeypatch.chdir(outside.folder)

    def store(*arguments: str) -> Result:
        return CliRunner().invoke(store_app, list(arguments))

    assert "has no signature" in store("signatures", "tiny").stdout
    assert isinstance(failed(store("signatures", "tiny", "--trust-key", "site.pub")), RefusedError)
    assert store("sign", "tiny", "--key", "site.key").exit_code == 0
    assert "not checked" in store("signatures", "tiny").stdout
    (row,) = json.loads(store("signatures", "tiny", "--trust-key", "site.pub", "--format", "json").stdout)
    assert row["result"] == "holds" and row["files"] == 3
    weights = outside.model.path / "model-00001-of-00002.safetensors"
    weights.write_bytes(weights.read_bytes()[::-1])
    assert "model-00001" in str(failed(store("signatures", "tiny", "--trust-key", "site.pub")))


def test_help_imports_no_torch_and_no_model_signing() -> None:
    code = (
        "import sys; from freehold.serve.cli.bundle import app\n"
        "print([m for m in ('torch', 'model_signing', 'cyclonedx') if m in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
