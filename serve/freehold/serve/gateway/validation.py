"""What FastAPI finds wrong with a request, in the envelope of all other refusals."""

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from freehold.serve.gateway.endpoints import Dialect
from freehold.serve.gateway.errors import RequestError, envelope
from freehold.serve.state.key_fields import problem_of


def invalid_request(request: Request, error: Exception) -> JSONResponse:
    """400 with every problem, and the first one's field as `param`; what was sent is not repeated.

    The handler for `RequestValidationError`, whose own status, 422, OpenAI's clients have no use for.
    """
    assert isinstance(error, RequestValidationError)
    problems, fields = [], []
    for item in error.errors():
        if item["type"] == "json_invalid":
            problems.append("the body is not JSON")
            continue
        place = item["loc"][1:]  # without `body`, `query` or `path`
        fields.append(".".join(map(str, place)))
        problems.append(problem_of({**item, "loc": place}))
    param = next(iter(fields), None) or None
    refusal = RequestError("The request is not valid", why="; ".join(problems), code="invalid_request", param=param)
    return JSONResponse(envelope(refusal, Dialect.OPENAI), status_code=refusal.http_status)
