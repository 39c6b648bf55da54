"""API keys: who has one, what it may use and has used, and their making, rotation and end."""

from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData

from freehold.core.errors import UserError
from freehold.serve.console.api import Api, ApiError
from freehold.serve.console.console import Console
from freehold.serve.console.page import Page

PATH = "/admin/v1/keys"
ROWS = 50
TEXTS = ("name", "team", "owner", "role", "label", "expires")
LISTS = ("models", "routes")
COUNTS = ("requests_per_minute", "tokens_per_minute", "concurrent_requests", "monthly_tokens")
LIMITS = {
    "requests_per_minute": "Requests per minute",
    "tokens_per_minute": "Tokens per minute",
    "concurrent_requests": "Requests at once",
    "monthly_tokens": "Tokens per month",
    "monthly_money": "Cost per month",
}
GRACE_HOURS = (0, 1, 24, 168)


SAID = {
    "saved": "The change counts within a second, on every gateway.",
    "revoked": "The key is revoked; what it used stays in the books.",
}


def routes(console: Console, router: APIRouter) -> None:
    """`/console/keys` and what is done there."""

    async def page(request: Request, status: int = 200, **more: Any) -> Response:
        query, api = request.query_params, console.api(request)
        wanted = {"team": query.get("team") or None, "after": query.get("after") or None}
        keys = await api.get(PATH, limit=ROWS, include_revoked=query.get("revoked") == "1", **wanted)
        values = {
            "created": None,
            "problem": None,
            "given": {},
            "query": query,
            "limits": LIMITS,
            "graces": GRACE_HOURS,
        }
        budgets = await _budgets(api, keys["data"])
        return console.render(request, "keys.html.jinja", status=status, keys=keys, budgets=budgets, **values | more)

    @router.get("")
    async def show(request: Request) -> Response:
        return await page(request)

    @router.post("")
    async def create(request: Request) -> Response:
        form = await request.form()
        try:
            created = await console.api(request).post(PATH, fields_of(form))
        except ApiError as error:
            if error.http_status != UserError.http_status:
                raise
            return await page(request, error.http_status, problem=error, given=dict(form))
        return await page(request, created=created)

    @router.get("/{key_id}")
    async def show_one(request: Request, key_id: str) -> Response:
        return await one(request, key_id)

    async def one(request: Request, key_id: str, status: int = 200, **more: Any) -> Response:
        api = console.api(request)
        key = await api.get(path_of(key_id))
        budgets = await _budgets(api, [key])
        said = SAID.get(request.query_params.get("said", ""), "")
        values = {"problem": None, "given": _given(key), "limits": LIMITS, "said": said}
        return console.render(request, "key.html.jinja", status=status, key=key, budgets=budgets, **values | more)

    @router.post("/{key_id}")
    async def change(request: Request, key_id: str) -> Response:
        form = await request.form()
        try:
            await console.api(request).patch(path_of(key_id), changes_of(form))
        except ApiError as error:
            if error.http_status != UserError.http_status:
                raise
            return await one(request, key_id, error.http_status, problem=error, given=dict(form))
        return _back(key_id, "saved")

    @router.post("/{key_id}/rotate")
    async def rotate(request: Request, key_id: str) -> Response:
        hours = str((await request.form()).get("grace_hours", "0"))
        body = {"grace_s": float(hours) * 3600 if hours.isdecimal() else hours}
        return await page(request, created=await console.api(request).post(f"{path_of(key_id)}/rotate", body))

    @router.post("/{key_id}/revoke")
    async def revoke(request: Request, key_id: str) -> Response:
        await console.api(request).delete(path_of(key_id))
        return _back(key_id, "revoked")


def _back(key_id: str, said: str) -> Response:
    """To the key's own page, so that loading it again repeats nothing."""
    return RedirectResponse(f"{KEYS.path}/{quote(key_id, safe='')}?said={said}", status_code=303)


def path_of(key_id: str) -> str:
    """Where the API has the key; whatever stands in the page's address is one part of a path."""
    return f"{PATH}/{quote(key_id, safe='')}"


async def _budgets(api: Api, keys: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    limited = [key["id"] for key in keys if key["monthly_tokens"] or key["monthly_money"]]
    if not limited:
        return {}
    found = await api.get("/admin/v1/budgets", key=limited)
    return {budget["key"]: budget for budget in found["data"]}


def fields_of(form: FormData) -> dict[str, Any]:
    """What the API takes for a new key; fields that were left empty are left out."""
    given = {name: str(form.get(name, "")).strip() for name in (*TEXTS, *LISTS, *LIMITS)}
    fields: dict[str, Any] = {name: given[name] for name in TEXTS if given[name]}
    fields |= {name: _names(given[name]) for name in LISTS if given[name]}
    fields |= {name: _number(given[name]) for name in COUNTS if given[name]}
    if given["monthly_money"]:
        fields["monthly_money"] = given["monthly_money"]
    return fields | ({"may_tune": True} if form.get("may_tune") else {})


def changes_of(form: FormData) -> dict[str, Any]:
    """What the API takes for a change: the whole form, an empty field being no limit; `expires` only if it is given."""
    fields = fields_of(form)
    changes: dict[str, Any] = {name: fields.get(name) for name in (*LISTS, *LIMITS)}
    changes |= {"owner": fields.get("owner", ""), "may_tune": bool(form.get("may_tune"))}
    changes |= {name: fields[name] for name in ("label", "expires") if name in fields}
    return changes


def _names(text: str) -> list[str]:
    return [name for name in text.replace(",", " ").split() if name]


def _number(text: str) -> Any:
    """A number, if it is one; the API says what it is not."""
    plain = text.replace(",", "").replace(" ", "")
    return int(plain) if plain.isascii() and plain.isdecimal() else text


def _given(key: dict[str, Any]) -> dict[str, Any]:
    """A key as its form shows it."""
    shown = {name: "" if key[name] is None else key[name] for name in LIMITS}
    names = {name: " ".join(key[name] or ()) for name in LISTS}
    return shown | names | {"owner": key["owner"], "label": key["label"], "may_tune": key["may_tune"], "expires": ""}


KEYS = Page("keys", "Keys", routes)
