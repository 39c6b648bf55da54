"""What is refused of a query before a page reads it."""

from collections.abc import Callable

from fastapi import Request

from freehold.serve.gateway.errors import RequestError


def named_once(*but: str) -> Callable[[Request], None]:
    """A dependency that refuses a parameter named twice: a page would take one of the two and say nothing.

    `but` are those that may be given several times.
    """

    def check(request: Request) -> None:
        seen: set[str] = set()
        for name, _ in request.query_params.multi_items():
            if name in seen and name not in but:
                raise RequestError(
                    f"The parameter '{name}' is given more than once",
                    why="only one value could count",
                    next_step="Give it once.",
                    code="repeated_parameter",
                    param=name,
                )
            seen.add(name)

    return check
