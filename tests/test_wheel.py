"""The wheel carries the data that a checkout has: it is unpacked, and asked from a folder of its own."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from freehold.core.manifest import load_catalogue
from freehold.core.plan.closed import closed_models
from freehold.core.plan.gpus import known_gpus

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow

ASK = """
import json
from pathlib import Path
import freehold.core.manifest.shipped as shipped
from freehold.core.manifest import load_catalogue
from freehold.core.plan.closed import closed_models
from freehold.core.plan.gpus import known_gpus
from freehold.core.plan.subject import catalogued_parts
from freehold.core.environment.locks import __path__ as locks
from freehold.quantize.texts import __path__ as texts
from freehold.serve.deploying.chart import find_chart
from freehold.serve.console.assets import assets
from freehold.serve.console.rendering import environment
print(json.dumps({
    "from": shipped.__file__, "models": sorted(load_catalogue().manifests), "gpus": sorted(known_gpus()),
    "closed": sorted(closed_models()), "counted": len(catalogued_parts()),
    "chart": str(find_chart().folder), "example": sorted(find_chart().effective({})["deployment"]["models"]),
    "assets": sorted(assets()), "templates": sorted(environment().list_templates()),
    "locks": len([*Path(list(locks)[0]).glob("*.txt")]), "texts": len([*Path(list(texts)[0]).glob("*.jsonl")]),
}))
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    ended = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 0, ended.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder / "site")
    return folder / "site"


def test_its_data_is_the_checkouts(unpacked: Path, tmp_path: Path) -> None:
    # First on the path, before the checkout that this environment points at.
    code = f"import sys; sys.path[:0] = [{str(unpacked)!r}]{ASK}"
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["from"].startswith(str(unpacked))
    assert found["models"] == sorted(load_catalogue().manifests)
    assert found["gpus"] == sorted(known_gpus())
    assert found["closed"] == sorted(closed_models())
    assert found["counted"] >= 40
    assert found["locks"] > 0
    assert found["chart"].startswith(str(unpacked)) and found["example"]
    assert found["texts"] > 0
    assert {"vendor/htmx/htmx.min.js", "vendor/htmx/LICENSE", "console.css"} <= set(found["assets"])
    assert "base.html.jinja" in found["templates"]
