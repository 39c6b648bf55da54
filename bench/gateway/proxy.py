"""The proxy that everybody writes first: FastAPI and httpx. `python -m bench.gateway.proxy PORT ENGINE_URL`"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse


def create_app(engine_url: str) -> FastAPI:
    client = httpx.AsyncClient(base_url=engine_url, timeout=None, limits=httpx.Limits(max_connections=None))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with client:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {}

    @app.post("/v1/chat/completions", response_model=None)
    async def chat(request: Request) -> Response:
        body = await request.json()
        upstream = client.build_request("POST", "/v1/chat/completions", json=body)
        if not body.get("stream"):
            answer = await client.send(upstream)
            return Response(answer.content, answer.status_code, media_type=answer.headers["content-type"])
        answer = await client.send(upstream, stream=True)
        return StreamingResponse(answer.aiter_bytes(), answer.status_code, media_type=answer.headers["content-type"])

    return app


if __name__ == "__main__":
    uvicorn.run(create_app(sys.argv[2]), port=int(sys.argv[1]), log_level="warning", access_log=False)
