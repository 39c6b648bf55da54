"""The pages of models: what is here, the catalogue, and the graph of an artifact."""

from pathlib import Path

import httpx
import pytest
from fixtures.console import House, house, signed_in
from fixtures.console_jobs import WITH_ARTIFACT
from fixtures.library import MODEL, furnish

from freehold.serve.engines.engine import EngineState

pytestmark = pytest.mark.slow


async def test_an_empty_store_says_what_to_do(admin: httpx.AsyncClient) -> None:
    page = await admin.get("/console/models")
    assert page.status_code == 200
    assert "The store is empty" in page.text


async def test_what_is_here_and_who_failed(running: House, admin: httpx.AsyncClient) -> None:
    lived = furnish(running.home)
    running.fail("tiny")
    page = await admin.get("/console/models")
    assert lived.adapter.id in page.text
    assert "CUDA out of memory" in page.text
    assert "CUDA out of memory" in (await admin.get("/console/models/served")).text


async def test_the_catalogue_is_filtered(admin: httpx.AsyncClient) -> None:
    page = await admin.get("/console/models/catalogue", params={"family": "qwen", "fits": "gpus", "gpus": "1xL4"})
    assert "qwen3-0.6b" in page.text and "llama-3.1-8b" not in page.text
    refused = await admin.get("/console/models/catalogue", params={"fits": "gpus", "gpus": "abacus"})
    assert refused.status_code == 404 and "No GPU" in refused.text
    assert MODEL in (await admin.get(f"/console/models/catalogue/{MODEL}")).text


async def test_the_graph_leads_to_the_evidence(running: House, admin: httpx.AsyncClient) -> None:
    lived = furnish(running.home)
    page = (await admin.get(f"/console/models/artifacts/{lived.adapter.id}")).text
    assert page.count('href="#evidence-') == page.count('class="evidence"') == 7
    assert "mean_difference_nats" in page and "It loses at most 1.2 points." in page
    assert (await admin.get("/console/models/artifacts/none")).status_code == 404


async def test_only_operators_load_adapters(running: House) -> None:
    async with signed_in(running, running.key("viewer")) as viewer:
        page = await viewer.get("/console/models")
        assert "Load an adapter" not in page.text
        fields = {"model": "tiny", "name": "a", "artifact": "b"}
        refused = await viewer.post("/console/models/adapters", data=fields)
        assert refused.status_code == 403 and "operator" in refused.text


async def test_operators_unload_and_load_models_that_run_here(tmp_path: Path) -> None:
    async with house(tmp_path, WITH_ARTIFACT) as made:
        async with signed_in(made, made.key("viewer")) as viewer:
            assert "/models/unload" not in (await viewer.get("/console/models")).text
            assert (await viewer.post("/console/models/unload", data={"model": "tiny"})).status_code == 403
        async with signed_in(made, made.key("operator")) as operator:
            page = (await operator.get("/console/models")).text
            assert 'aria-label="Unload model tiny"' in page and 'aria-label="Unload model renamed"' not in page
            done = await operator.post("/console/models/unload", data={"model": "tiny"})
            assert (done.status_code, done.headers["location"]) == (303, "/console/models")
            made.engines["tiny"].state = EngineState.UNLOADED
            assert 'aria-label="Load tiny"' in (await operator.get("/console/models")).text
            assert (await operator.post("/console/models/load", data={"model": "tiny"})).status_code == 303
            refused = await operator.post("/console/models/unload", data={"model": "renamed"})
            assert refused.status_code == 403 and "of kind remote" in refused.text
