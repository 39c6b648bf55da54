"""Container images: which ones the chart runs, by digest, and copies of them where a tool for that is at hand."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from freehold.core.errors import RemoteError
from freehold.serve.bundle.index import BundledImage
from freehold.serve.deploying.bundle import Image

TOOLS = ("skopeo", "crane")
"""What can ask a registry and copy from it, the first one that is there."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def find_tool() -> str | None:
    """`skopeo` or `crane`, if one is installed."""
    return next((tool for tool in TOOLS if shutil.which(tool)), None)


def bundle_images(
    images: list[Image], folder: Path, tool: str | None, *, copy: bool, report: Callable[[str], None]
) -> tuple[BundledImage, ...]:
    """Each with its digest as far as it can be known, copied to `images/` below `folder` if asked for.

    Raises RemoteError with the tool's words when a registry does not give what it should.
    """
    found = []
    for image in images:
        digest = _digest_in(image.reference)
        if not digest and tool:
            report(f"Asking for the digest of {image.reference} …")
            digest = _ask(tool, image.reference)
        archive = ""
        if copy and tool:
            archive = f"images/{re.sub(r'[^A-Za-z0-9._-]+', '_', image.reference)}.tar"
            _copy(tool, pinned(image.reference, digest), folder / archive, report)
        found.append(BundledImage(reference=image.reference, digest=digest, used_by=image.used_by, archive=archive))
    return tuple(found)


def images_page(images: tuple[BundledImage, ...]) -> bytes:
    """`images.json`: the list, and for each image how it is brought in."""
    rows = [one.model_dump() | {"bring_in": _bring_in(one)} for one in images]
    return (json.dumps({"images": rows}, indent=2) + "\n").encode()


def pinned(reference: str, digest: str) -> str:
    """The reference by its digest, so that what is copied is what was looked at."""
    if "@" in reference or not digest:
        return reference
    name, _, tag = reference.rpartition(":")
    return f"{name if name and '/' not in tag else reference}@{digest}"


def _bring_in(image: BundledImage) -> str:
    path = re.sub(r"^[^/]*[.:][^/]*/", "", image.reference.partition("@")[0])
    if image.archive:
        return f"skopeo copy --all oci-archive:{image.archive} docker://REGISTRY/{path}"
    source = pinned(image.reference, image.digest)
    return f"skopeo copy --all docker://{source} docker://REGISTRY/{path}, where both registries can be reached"


def _digest_in(reference: str) -> str:
    found = _DIGEST.search(reference.partition("@")[2])
    return found[0] if found else ""


def _ask(tool: str, reference: str) -> str:
    if tool == "skopeo":
        # The list's own digest, not that of this machine's platform: a tag is usually a list.
        said = _run(tool, "inspect", "--format", "{{.Digest}}", f"docker://{reference}")
    else:
        said = _run(tool, "digest", reference)
    found = _DIGEST.search(said)
    if found is None:
        raise RemoteError(f"{tool} names no digest of {reference}", why=said.strip()[:200])
    return found[0]


def _copy(tool: str, source: str, target: Path, report: Callable[[str], None]) -> None:
    """An OCI archive; one that is there from an earlier attempt is whole."""
    if target.is_file():
        return
    report(f"Copying {source} …")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".part")
    partial.unlink(missing_ok=True)
    if tool == "skopeo":
        _run(tool, "copy", "--all", f"docker://{source}", f"oci-archive:{partial}")
    else:
        layout = partial.with_name(partial.name + ".layout")
        shutil.rmtree(layout, ignore_errors=True)
        _run(tool, "pull", "--format=oci", source, str(layout))
        _run("tar", "-C", str(layout), "-cf", str(partial), ".")
        shutil.rmtree(layout)
    partial.replace(target)


def _run(*command: str) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if ended.returncode:
        raise RemoteError(
            f"`{' '.join(command[:2])}` failed for {command[-1]}",
            why=ended.stderr.strip()[-500:],
            next_step="Log in to the registry, or leave the images out with --no-images and take the list alone.",
        )
    return ended.stdout
