"""What goes into a bundle: everything small is put together in a folder, everything large stays where it is."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import yaml

from freehold.core.errors import ConfigError, NotFoundError
from freehold.core.hub.lockfile import read_lock
from freehold.core.progress import ByteBar
from freehold.core.settings import Settings
from freehold.core.signing import Signer, signatures
from freehold.core.store import LINEAGE_FILE, Artifact, FileRecord, Store, hash_file
from freehold.serve.bundle.chart import package_chart
from freehold.serve.bundle.config_files import config_files
from freehold.serve.bundle.images import bundle_images, find_tool, images_page
from freehold.serve.bundle.index import (
    CONFIG,
    IMAGES,
    INDEX,
    LOCK,
    SBOM,
    SIGNATURE,
    STORE,
    BundledArtifact,
    BundledChart,
    BundledImage,
    BundleIndex,
    Member,
    WheelSet,
)
from freehold.serve.bundle.naming import NamedArtifact, find_named, locks_of, require_servable
from freehold.serve.bundle.sbom import bill_of_materials
from freehold.serve.bundle.wheels import Wheel, WheelRequest, gather_wheels
from freehold.serve.config import DeploymentConfig, VllmEngine, load_config
from freehold.serve.deploying.bundle import images as images_of
from freehold.serve.deploying.chart import find_chart
from freehold.serve.deploying.checking import check_values, load_values
from freehold.serve.deploying.writing import write_values

FILES = "files"
"""Below it lies what was added by name."""
VALUES = "values.yaml"


@dataclass(frozen=True)
class BundleRequest:
    """What the command line asks for."""

    config: Path
    name: str
    lock: Path = Path("freehold.lock")
    wheels: WheelRequest | None = None
    """None leaves them out."""
    values: Path | None = None
    """The chart's; without them images are those of the chart's defaults for this config."""
    profile: str = "nvidia"
    has_chart: bool = True
    copies_images: bool = True
    signer: Signer | None = None
    extra: tuple[Path, ...] = field(default=())
    """Files to carry along, under `files/`: a policy, keys to trust."""


def sources_of(request: BundleRequest, store: Store) -> tuple[DeploymentConfig, list[NamedArtifact]]:
    """The config and its artifacts. Raises ConfigError, NotFoundError for what is not there."""
    config = load_config(request.config)
    for path in (request.values, *request.extra):
        if path is not None and not path.is_file():
            raise NotFoundError(f"No file {path} to put into the bundle")
    problems = [file.problem for file in config_files(config, request.config) if file.problem]
    if problems:
        raise ConfigError("Files that the config names cannot come along", problems)
    doubled = {path.name for path in request.extra if [one.name for one in request.extra].count(path.name) > 1}
    if doubled:
        raise ConfigError("Files to carry along share a name", [f"{name}: more than one" for name in sorted(doubled)])
    if request.signer is not None:
        request.signer.require_files()
    named = find_named(config, store)
    require_servable(config, store)
    return config, named


def gather(
    request: BundleRequest,
    created_at: datetime,
    settings: Settings,
    store: Store,
    folder: Path,
    report: Callable[[str], None],
) -> BundleIndex:
    """Fill `folder` with all members but those that stay in the store or in a given folder of wheels.

    What an interrupted call has fetched into it is taken as it is. Raises what its parts raise.
    """
    config, named = sources_of(request, store)
    for model, served in config.models.items():
        if isinstance(served.engine, VllmEngine) and served.engine.python:
            report(
                f"models.{model}.engine.python: {served.engine.python} is not in the bundle; it has to be made inside."
            )
    sets, wheels = gather_wheels(request.wheels, folder) if request.wheels else ([], [])
    chart, images = _for_cluster(request, config, settings, folder, report)
    _write(folder / CONFIG, request.config.read_bytes())
    artifacts = [one.artifact for one in named]
    _write(folder / LOCK, locks_of(artifacts, read_lock(request.lock)).model_dump_json(indent=2).encode() + b"\n")
    for path in request.extra:
        _write(folder / FILES / path.name, path.read_bytes())
    for file in config_files(config, request.config):
        _write(folder / file.inside, file.source.read_bytes())
    members: dict[str, FileRecord] = {}
    for artifact in artifacts:
        members |= _of_artifact(artifact, store, request.signer, folder)
    packaged = None if chart is None else (chart, hash_file(folder / chart.path))
    toolkit = version("freehold")
    listed = bill_of_materials(request.name, created_at, artifacts, wheels, images, packaged, toolkit)
    _write(folder / SBOM, listed)
    index = BundleIndex(
        name=request.name,
        created_at=created_at,
        toolkit=toolkit,
        is_signed=request.signer is not None,
        artifacts=tuple(_bundled(one) for one in named),
        wheels=tuple(sets),
        chart=chart,
        images=images,
        members=_members(folder, config, wheels, members, sets, images, chart, request),
    )
    _write(folder / INDEX, index.model_dump_json(indent=1).encode() + b"\n")
    if request.signer is not None:
        request.signer.sign(
            request.name, [index_record(folder), *index.members], folder / SIGNATURE, ignored=(SIGNATURE,)
        )
    return index


def index_record(folder: Path) -> FileRecord:
    """Of the index itself, which the signature covers too."""
    path = folder / INDEX
    return FileRecord(path=INDEX, size_bytes=path.stat().st_size, sha256=hash_file(path))


def _bundled(one: NamedArtifact) -> BundledArtifact:
    lineage = one.artifact.lineage
    return BundledArtifact(
        id=lineage.id,
        name=lineage.name,
        kind=lineage.kind,
        license=lineage.license,
        size_bytes=lineage.size_bytes,
        references=one.references,
    )


def _for_cluster(
    request: BundleRequest, config: DeploymentConfig, settings: Settings, folder: Path, report: Callable[[str], None]
) -> tuple[BundledChart | None, tuple[BundledImage, ...]]:
    """The chart's package and the images that it runs."""
    if not request.has_chart:
        return None, ()
    chart = find_chart()
    if request.values is not None:
        values = load_values(request.values)
        config = check_values(values, chart, str(request.values))
        _write(folder / VALUES, request.values.read_bytes())
    else:
        text = write_values(request.config, request.lock, settings, request.profile, lambda said: None)
        values = yaml.safe_load(text)
    tool = find_tool()
    if tool is None:
        report(f"No skopeo or crane here: {IMAGES} lists the images, and they have to be copied by other means.")
    images = bundle_images(images_of(values, chart, config), folder, tool, copy=request.copies_images, report=report)
    _write(folder / IMAGES, images_page(images))
    return package_chart(chart, folder), images


def _of_artifact(artifact: Artifact, store: Store, signer: Signer | None, folder: Path) -> dict[str, FileRecord]:
    """Put lineage, verdicts and signatures into the folder; returns the records of the files that stay in the store."""
    place = f"{STORE}/artifacts/{artifact.id}"
    _write(folder / place / LINEAGE_FILE, (artifact.path / LINEAGE_FILE).read_bytes())
    for path in sorted(store.verdict_folder(artifact.id).glob("*.json")):
        _write(folder / STORE / "verdicts" / artifact.id / path.name, path.read_bytes())
    signed = folder / STORE / "signatures" / artifact.id
    for one in signatures(store, artifact):
        _write(signed / one.path.name, one.path.read_bytes())
    if signer is not None:
        signed.mkdir(parents=True, exist_ok=True)
        # By its records; that the bytes are theirs is seen while they go into the archive.
        signer.sign(artifact.id, artifact.lineage.files, signed / "bundle.json", ignored=(LINEAGE_FILE,))
    return {
        f"{place}/{record.path}": record.model_copy(update={"path": f"{place}/{record.path}"})
        for record in artifact.lineage.files
    }


def _members(
    folder: Path,
    config: DeploymentConfig,
    wheels: list[Wheel],
    in_store: dict[str, FileRecord],
    sets: Iterable[WheelSet],
    images: Iterable[BundledImage],
    chart: BundledChart | None,
    request: BundleRequest,
) -> tuple[Member, ...]:
    """In the order of the archive: what is needed first comes first, the models come last."""
    small = [CONFIG, LOCK, SBOM]
    small += [VALUES] if request.values is not None and chart else []
    small += sorted({file.inside.as_posix() for file in config_files(config, request.config)})
    small += [f"{FILES}/{path.name}" for path in request.extra]
    small += [IMAGES, chart.path] if chart else []
    small += [one.requirements for one in sets]
    members = [_record(folder / path, path) for path in small]
    members += [
        Member(path=f"wheels/{one.path.name}", size_bytes=one.path.stat().st_size, sha256=one.sha256) for one in wheels
    ]
    for archive in (image.archive for image in images if image.archive):
        with ByteBar(f"Hashing {archive}", (folder / archive).stat().st_size) as bar:
            members.append(_record(folder / archive, archive, bar.advance))
    below = sorted(path.relative_to(folder).as_posix() for path in (folder / STORE).rglob("*") if path.is_file())
    members += [_record(folder / path, path) for path in below]
    members += [Member(**record.model_dump()) for record in in_store.values()]
    return tuple(members)


def _record(path: Path, name: str, advance: Callable[[int], None] | None = None) -> Member:
    return Member(path=name, size_bytes=path.stat().st_size, sha256=hash_file(path, advance))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
