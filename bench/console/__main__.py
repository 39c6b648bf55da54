"""Pages of a large house: `python -m bench.console [--models 1000] [--rounds 5]`.

A gateway in this process, with as many manifests of its own and as many artifacts, which it reads ahead once it has
started. The table has the seconds of the first request after that, and the median of those after it; the exit status is
1 if any is over a second.
"""

import argparse
import asyncio
import json
import re
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import yaml

from freehold.core.manifest import load_catalogue
from freehold.core.settings import Settings
from freehold.core.store import FileRecord, Lineage, SourceRecord, content_digest
from freehold.core.store.lineage import LINEAGE_FILE, artifact_id
from freehold.serve.config import DeploymentConfig
from freehold.serve.gateway import create_gateway
from freehold.serve.gateway.routing import RouteTable
from freehold.serve.governing import READING, governance

KEY = "the-administrators-key"
ADDRESS = "https://console.bench"
MOST_S = 1.0
CONFIG = {
    "models": {"model": {"engine": {"kind": "remote", "baseUrl": "http://127.0.0.1:9"}}},
    "gateway": {"auth": "keys", "adminKeyFrom": {"env": "KEY"}},
}
PAGES = (
    "/console/models",
    "/console/models/catalogue",
    "/console/models/catalogue?fits=gpus&gpus=1xL4&capability=tools",
    "/console/playground",
    "/admin/v1/artifacts?limit=1000",
    "/admin/v1/catalogue?limit=1000&gpus=1xL4",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="freehold-bench-") as folder:
        furnish(Path(folder), given.models)
        rows = asyncio.run(measured(Path(folder), given.rounds))
    print("| page | first, s | then, s |\n|---|---|---|")
    for path, first, then in rows:
        print(f"| `{path}` | {first:.2f} | {then:.2f} |")
    return int(any(max(first, then) > MOST_S for _, first, then in rows))


def furnish(home: Path, count: int) -> None:
    """As many manifests as copies of one that ships, and as many artifacts that come from them."""
    shipped = load_catalogue().require("qwen3-8b").model_dump(mode="json", by_alias=True, exclude_none=True)
    (home / "manifests").mkdir()
    for number in range(count):
        name, repo = f"model-{number:04}", f"someone/model-{number:04}"
        manifest = {**shipped, "id": name, "source": {"kind": "hub", "repo": repo}}
        (home / "manifests" / f"{name}.yaml").write_text(yaml.safe_dump(manifest))
        parts = (f"{part}.safetensors" for part in range(8))
        files = tuple(FileRecord(path=part, size_bytes=10**9, sha256=f"{number:064x}") for part in parts)
        source = SourceRecord(kind="hub", location=repo, commit="c" * 40, files=files)
        lineage = Lineage(
            id=artifact_id(name, files), name=name, digest=content_digest(files), files=files, source=source
        )
        target = home / "store" / "artifacts" / lineage.id
        target.mkdir(parents=True)
        (target / LINEAGE_FILE).write_text(lineage.model_dump_json())


@asynccontextmanager
async def visitor(home: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client that has signed in, and has the key beside it for `/admin/v1`."""
    config = DeploymentConfig.model_validate(CONFIG)
    async with governance(config, Settings(home=home), {"KEY": KEY}) as services:
        gateway = create_gateway({}, config.gateway, RouteTable({}), services)
        await gateway.start()
        try:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(gateway), base_url=ADDRESS) as client:
                page = await client.get("/console/sign-in")
                fields = dict(re.findall(r'name="(csrf|to)" value="([^"]*)"', page.text))
                answer = await client.post("/console/sign-in", data={**fields, "key": KEY})
                assert answer.status_code == 303, answer.text
                client.headers["authorization"] = f"Bearer {KEY}"
                yield client
        finally:
            await gateway.close()


async def measured(home: Path, rounds: int) -> list[tuple[str, float, float]]:
    """Path, seconds of the first request, and the median of those after it."""
    found = []
    began = time.perf_counter()
    async with visitor(home) as client:
        if reading := [task for task in asyncio.all_tasks() if task.get_name() == READING]:
            await asyncio.wait(reading)
        print(f"Everything is read {time.perf_counter() - began:.1f} s after the start began.")
        for path in PAGES:
            times = []
            for _ in range(1 + rounds):
                began = time.perf_counter()
                answer = await client.get(path)
                times.append(time.perf_counter() - began)
                assert answer.status_code == 200, f"{path}: {json.dumps(answer.text[:500])}"
            found.append((path, times[0], statistics.median(times[1:])))
    return found


if __name__ == "__main__":
    raise SystemExit(main())
