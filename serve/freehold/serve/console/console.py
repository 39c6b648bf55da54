"""What all pages of the console share: sessions, templates, and the API."""

from collections.abc import Sequence
from typing import Any

from fastapi import Request, Response
from fastapi.responses import HTMLResponse

from freehold.core.errors import FreeholdError
from freehold.serve.config import ConsoleConfig
from freehold.serve.console.api import Api
from freehold.serve.console.page import ROOT, SIGN_IN, Page, is_fragment
from freehold.serve.console.rendering import environment
from freehold.serve.gateway.sessions import Session, SessionRing


class Console:
    """The console of one gateway process."""

    def __init__(self, config: ConsoleConfig, sessions: SessionRing, currency: str, pages: Sequence[Page]) -> None:
        self.config = config
        self.sessions = sessions
        self.pages = pages
        self._templates = environment()
        self._templates.globals.update(root=ROOT, sign_in_path=SIGN_IN, currency=currency)

    def session(self, request: Request) -> Session:
        """Who looks at the page."""
        session: Session = request.state.session
        return session

    def api(self, request: Request) -> Api:
        """The gateway's API, with the rights of whoever looks at the page."""
        return Api(request, self.session(request).token)

    def render(self, request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """The template as an answer; `session`, `pages`, `here` and `is_fragment` are known in each."""
        session: Session | None = getattr(request.state, "session", None)
        pages = [page for page in self.pages if session is not None and session.principal.is_at_least(page.needs)]
        here = request.url.path.removeprefix(f"{ROOT}/").partition("/")[0]
        text = self._templates.get_template(template).render(
            session=session, pages=pages, here=here, is_fragment=is_fragment(request), **values
        )
        return HTMLResponse(text, status_code=status)

    def show_error(self, request: Request, error: FreeholdError) -> Response:
        """What went wrong: a page, or for htmx a notice at the top of the page that is open."""
        if not is_fragment(request):
            return self.render(request, "error.html.jinja", status=error.http_status, error=error)
        answer = self.render(request, "_notice.html.jinja", status=error.http_status, error=error)
        answer.headers.update({"hx-retarget": "#notices", "hx-reswap": "innerHTML"})
        return answer
