"""The playground's page: who may ask what, and what is known of them."""

import httpx
import pytest
from fixtures.console import House, signed_in
from fixtures.library import furnish


async def test_models_are_offered_with_what_they_take(running: House, admin: httpx.AsyncClient) -> None:
    running.engines["tiny"].artifact_id = furnish(running.home).base.id
    running.fail("renamed")
    page = (await admin.get("/console/playground")).text
    assert 'value="tiny" data-takes="text"' in page
    assert 'value="renamed" data-takes="?"' in page and "renamed (failed)" in page
    assert 'value="chat"' in page  # a route
    assert "Nobody has voted yet" in page


@pytest.mark.slow
async def test_who_may_name_no_model_is_told_so(running: House) -> None:
    async with signed_in(running, running.key("viewer", models=["none-of-these"])) as viewer:
        assert "There is no model that you may ask" in (await viewer.get("/console/playground")).text
