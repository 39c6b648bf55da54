"""The console's cookies: never for scripts, never with what another site asks for in the background."""

from fastapi import Response

from freehold.serve.config import ConsoleConfig

SESSION = "freehold"
START = "freehold-start"
"""Of a sign-in that has begun."""
START_S = 600


class Cookies:
    """Sets and takes away cookies as the config has it; over HTTPS they are bound to this very host (`__Host-`)."""

    def __init__(self, config: ConsoleConfig) -> None:
        self._is_secure = config.secure_cookies
        self._prefix = "__Host-" if config.secure_cookies else ""
        self._session_s = int(config.session_hours * 3600)

    @property
    def session_name(self) -> str:
        return self._prefix + SESSION

    @property
    def start_name(self) -> str:
        return self._prefix + START

    def begin(self, response: Response, secret: str) -> None:
        """Somebody has signed in."""
        self._set(response, self.session_name, secret, self._session_s)
        self._set(response, self.start_name, "", 0)

    def end(self, response: Response) -> None:
        """They have signed out."""
        self._set(response, self.session_name, "", 0)

    def start(self, response: Response, secret: str) -> None:
        """They are about to sign in."""
        self._set(response, self.start_name, secret, START_S)

    def _set(self, response: Response, name: str, value: str, max_age_s: int) -> None:
        # Lax: a link from elsewhere leads to a page, and an identity provider sends browsers back.
        response.set_cookie(
            name, value, max_age=max_age_s, path="/", secure=self._is_secure, httponly=True, samesite="lax"
        )
