"""Jobs: fine-tuning, batches, pulls, quantizations, evaluations: losses, log and data; cancelled and started again."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from freehold.serve.console.api import Api, ApiError
from freehold.serve.console.console import Console
from freehold.serve.console.page import TOKEN_FIELD, Page
from freehold.serve.console.paths import quoted

TUNING, BATCHES, FILES = "/v1/fine_tuning/jobs", "/v1/batches", "/v1/files"
HOUSE = "/admin/v1/jobs"
SHOWN, EVENTS = 50, 1000
GOING_ON = ("queued", "running")
OVER = ("succeeded", "failed", "cancelled", "completed", "expired")


def routes(console: Console, router: APIRouter) -> None:
    """`/console/jobs`."""

    @router.get("")
    async def show(request: Request) -> Response:
        return console.render(request, "jobs.html.jinja", **await listed(console.api(request)))

    @router.get("/list")
    async def show_list(request: Request) -> Response:
        return console.render(request, "_jobs.html.jinja", **await listed(console.api(request)))

    @router.get("/new")
    async def show_new(request: Request) -> Response:
        api = console.api(request)
        files = await optional(api, FILES, limit=200)
        models = (await api.get("/admin/v1/datasets"))["models"]
        return console.render(request, "job_new.html.jinja", files=files, models=models)

    @router.get("/tuning/{job_id}")
    async def show_tuning(request: Request, job_id: str) -> Response:
        return console.render(request, "tuning_job.html.jinja", **await tuned(console.api(request), job_id))

    @router.get("/tuning/{job_id}/state")
    async def show_tuning_state(request: Request, job_id: str) -> Response:
        return console.render(request, "_tuning_job.html.jinja", **await tuned(console.api(request), job_id))

    @router.get("/tuning/{job_id}/charts.json")
    async def show_charts(request: Request, job_id: str) -> Response:
        path = f"{TUNING}/{quoted(job_id)}/events"
        return JSONResponse(losses((await console.api(request).get(path, limit=EVENTS))["data"]))

    @router.post("/tuning")
    async def start_tuning(
        request: Request,
        model: Annotated[str, Form()],
        training_file: Annotated[str, Form()],
        method: Annotated[str, Form()] = "supervised",
        suffix: Annotated[str, Form()] = "",
        epochs: Annotated[str, Form()] = "",
    ) -> Response:
        given = {"n_epochs": int(epochs)} if epochs.isdigit() else {}
        body: dict[str, Any] = {"model": model, "training_file": training_file}
        body["method"] = {"type": method, method: {"hyperparameters": given}}
        body |= {"suffix": suffix.strip()} if suffix.strip() else {}
        job = await console.api(request).post(TUNING, body)
        return RedirectResponse(f"{JOBS.path}/tuning/{quoted(job['id'])}", status_code=303)

    @router.post("/tuning/{job_id}/cancel")
    async def cancel_tuning(request: Request, job_id: str) -> Response:
        await console.api(request).post(f"{TUNING}/{quoted(job_id)}/cancel")
        return RedirectResponse(f"{JOBS.path}/tuning/{quoted(job_id)}", status_code=303)

    @router.get("/batches/{batch_id}")
    async def show_batch(request: Request, batch_id: str) -> Response:
        batch = await console.api(request).get(f"{BATCHES}/{quoted(batch_id)}")
        return console.render(request, "batch.html.jinja", batch=batch, is_over=batch["status"] in OVER)

    @router.post("/batches")
    async def start_batch(
        request: Request, input_file: Annotated[str, Form()], endpoint: Annotated[str, Form()]
    ) -> Response:
        body = {"input_file_id": input_file, "endpoint": endpoint, "completion_window": "24h"}
        batch = await console.api(request).post(BATCHES, body)
        return RedirectResponse(f"{JOBS.path}/batches/{quoted(batch['id'])}", status_code=303)

    @router.post("/batches/{batch_id}/cancel")
    async def cancel_batch(request: Request, batch_id: str) -> Response:
        await console.api(request).post(f"{BATCHES}/{quoted(batch_id)}/cancel")
        return RedirectResponse(f"{JOBS.path}/batches/{quoted(batch_id)}", status_code=303)

    @router.get("/files/{file_id}")
    async def show_file(request: Request, file_id: str, model: str = "") -> Response:
        api = console.api(request)
        file = await api.get(f"{FILES}/{quoted(file_id)}")
        models = (await api.get("/admin/v1/datasets"))["models"]
        return console.render(request, "training_file.html.jinja", file=file, models=models, model=model)

    @router.get("/files/{file_id}/check")
    async def show_check(request: Request, file_id: str, model: str) -> Response:
        found = await console.api(request).get(f"/admin/v1/datasets/{quoted(file_id)}", model=model)
        return console.render(request, "_mask.html.jinja", found=found)

    @router.post("/house")
    async def start_house_job(request: Request) -> Response:
        form = await request.form()
        wanted = {name: value.strip() for name, value in form.items() if isinstance(value, str) and name != TOKEN_FIELD}
        job = await console.api(request).post(HOUSE, {name: value for name, value in wanted.items() if value})
        return RedirectResponse(house_page(job["id"]), status_code=303)

    @router.get("/house/{job_id}")
    async def show_house_job(request: Request, job_id: str) -> Response:
        job = await console.api(request).get(f"{HOUSE}/{quoted(job_id)}")
        return console.render(request, "house_job.html.jinja", job=job, is_over=job["state"] not in GOING_ON)

    @router.get("/house/{job_id}/state")
    async def show_house_state(request: Request, job_id: str) -> Response:
        job = await console.api(request).get(f"{HOUSE}/{quoted(job_id)}")
        return console.render(request, "_house_job.html.jinja", job=job, is_over=job["state"] not in GOING_ON)

    @router.post("/house/{job_id}/cancel")
    async def cancel_house_job(request: Request, job_id: str) -> Response:
        await console.api(request).post(f"{HOUSE}/{quoted(job_id)}/cancel")
        return RedirectResponse(house_page(job_id), status_code=303)

    @router.post("/house/{job_id}/resume")
    async def resume_house_job(request: Request, job_id: str) -> Response:
        await console.api(request).post(f"{HOUSE}/{quoted(job_id)}/resume")
        return RedirectResponse(house_page(job_id), status_code=303)

    @router.post("/files/{file_id}/delete")
    async def delete_file(request: Request, file_id: str) -> Response:
        await console.api(request).delete(f"{FILES}/{quoted(file_id)}")
        return RedirectResponse(f"{JOBS.path}/new", status_code=303)


def house_page(job_id: str) -> str:
    """Of a pull, quantization or evaluation."""
    return f"{JOBS.path}/house/{quoted(job_id)}"


async def listed(api: Api) -> dict[str, Any]:
    """Jobs and batches, newest first; None for what this deployment has no section for."""
    return {
        "tuning": await optional(api, TUNING, limit=SHOWN),
        "batches": await optional(api, BATCHES, limit=SHOWN),
        "house": await api.get(HOUSE, limit=SHOWN),
    }


async def tuned(api: Api, job_id: str) -> dict[str, Any]:
    """A fine-tuning job, what happened to it, and what was measured."""
    path = f"{TUNING}/{quoted(job_id)}"
    job = await api.get(path)
    events = await api.get(f"{path}/events", limit=200)
    checkpoints = await api.get(f"{path}/checkpoints", limit=50)
    is_over = job["status"] in OVER
    return {"job": job, "events": events["data"], "checkpoints": checkpoints["data"], "is_over": is_over}


async def optional(api: Api, path: str, **query: Any) -> list[dict[str, Any]] | None:
    """The data of a listing; None where the deployment has no such pages."""
    try:
        data: list[dict[str, Any]] = (await api.get(path, **query))["data"]
    except ApiError as error:
        if error.http_status != 404:
            raise
        return None
    return data


def losses(events: list[dict[str, Any]]) -> dict[str, Any]:
    """A chart of what events of a job measured, by step."""
    steps: dict[int, dict[str, float]] = {}
    for event in events:
        if event["type"] == "metrics":
            steps.setdefault(event["data"]["step"], {}).update(event["data"])
    x = sorted(steps)
    curves = (("training", "train_loss"), ("validation", "valid_loss"))
    series = [{"label": label, "values": [steps[step].get(name) for step in x]} for label, name in curves]
    rates = [None if (each := steps[step].get("learning_rate")) is None else each * 1e6 for step in x]
    shown = [each for each in series if any(value is not None for value in each["values"])]
    curve = [{"label": "learning rate", "values": rates}] if any(value is not None for value in rates) else []
    return {
        "loss": {"unit": "nats", "steps": True, "x": x, "series": shown},
        "rate": {"unit": "millionths", "steps": True, "x": x, "series": curve},
    }


JOBS = Page("jobs", "Jobs", routes)
