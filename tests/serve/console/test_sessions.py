"""Signing in, what a session may, and how it ends."""

from fixtures.console import House, browser_of, sign_in, token_on


async def test_a_key_signs_in_and_out(running: House) -> None:
    async with browser_of(running) as client:
        away = await client.get("/console/overview")
        assert (away.status_code, away.headers["location"]) == (303, "/console/sign-in?to=/console/overview")
        answer = await sign_in(client, to="/console/overview")
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/overview")
        cookie = next(each for each in answer.headers.get_list("set-cookie") if each.startswith("__Host-freehold="))
        for attribute in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"):
            assert attribute in cookie
        page = await client.get("/console/overview")
        assert page.status_code == 200
        assert "tiny" in page.text
        out = await client.post("/console/sign-out", data={"csrf": token_on(page)})
        assert out.headers["location"] == "/console/sign-in"
        assert (await client.get("/console/overview")).status_code == 303
