"""The Helm chart as the package that `helm install` takes."""

import gzip
import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pathspec

from freehold.core.errors import EnvironmentProblem
from freehold.serve.bundle.index import BundledChart
from freehold.serve.config.base import read_yaml
from freehold.serve.deploying.chart import Chart

OURS = "freehold"
"""Who packaged it where Helm is not at hand."""


def package_chart(chart: Chart, folder: Path) -> BundledChart:
    """Write `chart/<name>-<version>.tgz` below `folder`. Raises EnvironmentProblem with Helm's words.

    `helm package` where there is a Helm. Without one the same files in the same layout: this chart has no dependencies
    to fetch, and is linted by the project's tests, which is all that Helm adds.
    """
    said = read_yaml(chart.folder / "Chart.yaml", "It is a part of the chart.")
    path = f"chart/{said['name']}-{said['version']}.tgz"
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    helm = shutil.which("helm")
    if helm is None:
        target.write_bytes(_pack(chart.folder, said["name"]))
        return BundledChart(path=path, packaged_by=OURS)
    _run(helm, "package", str(chart.folder), "--destination", str(target.parent))
    return BundledChart(path=path, packaged_by=f"helm {_run(helm, 'version', '--template', '{{.Version}}').strip()}")


def _run(*command: str) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if ended.returncode:
        raise EnvironmentProblem(f"`helm {command[1]}` failed", why=ended.stderr.strip())
    return ended.stdout


def _pack(folder: Path, name: str) -> bytes:
    """Every file but what `.helmignore` names; the same chart makes the same bytes."""
    ignore = folder / ".helmignore"
    spec = pathspec.PathSpec.from_lines("gitignore", ignore.read_text().splitlines() if ignore.is_file() else ())
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.GNU_FORMAT) as tar,
    ):
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder).as_posix()
            if path.is_file() and not spec.match_file(inside) and inside != ignore.name:
                info = tarfile.TarInfo(f"{name}/{inside}")
                info.size = path.stat().st_size
                with path.open("rb") as stream:
                    tar.addfile(info, stream)
    return packed.getvalue()
