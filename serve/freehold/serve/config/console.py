"""The console: `gateway.console`."""

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from freehold.core.config import web_root
from freehold.serve.config.base import ConfigModel, SecretRef

Names = tuple[Annotated[str, Field(min_length=1)], ...]


class OidcRoles(ConfigModel):
    """What the issuer's claims allow. Whoever has several roles gets the highest, whoever has none is refused."""

    claim: str = Field(default="groups", min_length=1)
    """Claim of the ID token or of the user info whose values decide: a text or a list; dots lead into objects, as in
    `realm_access.roles`."""
    admin: Names = ()
    """Values that may do everything."""
    operator: Names = ()
    """Values that may run models, adapters and jobs."""
    viewer: Names = ()
    """Values that may look; `*` is everybody whom the issuer knows."""

    @model_validator(mode="after")
    def _somebody(self) -> "OidcRoles":
        if not (self.admin or self.operator or self.viewer):
            raise ValueError("nobody could sign in; name a value under admin, operator or viewer")
        return self


class OidcConfig(ConfigModel):
    """Sign-in by an identity provider (OpenID Connect, authorization code with PKCE)."""

    issuer: str
    """The provider's issuer URL, whose `/.well-known/openid-configuration` is read when somebody signs in."""
    client_id: str = Field(min_length=1)
    """What the provider calls this console."""
    client_secret_from: SecretRef
    """The client's secret, for example `{env: OIDC_CLIENT_SECRET}`."""
    scopes: Names = ("openid", "profile", "email")
    """What is asked for; `openid` must be among them. Some providers want `groups` too."""
    name: str = Field(default="single sign-on", min_length=1)
    """What the sign-in button calls the provider."""
    roles: OidcRoles
    """What the provider's claims allow."""

    @field_validator("issuer")
    @classmethod
    def _url(cls, value: str) -> str:
        return web_root(value)

    @field_validator("scopes")
    @classmethod
    def _is_openid(cls, value: Names) -> Names:
        if "openid" not in value:
            raise ValueError("`openid` must be among them")
        return value


class ConsoleConfig(ConfigModel):
    """The console at `/console`."""

    enabled: bool = True
    """False leaves `/console` out; `/admin/v1` stays."""
    public_url: str | None = None
    """Where browsers reach this gateway, for example `https://models.example.com`; OIDC needs it to come back."""
    secure_cookies: bool = True
    """Sessions are kept by browsers over HTTPS and on localhost only. False lets them travel in the clear."""
    session_hours: float = Field(default=8.0, gt=0, le=720)
    """A session ends after this, however much it is used."""
    idle_minutes: float = Field(default=60.0, ge=2)
    """A session ends after so long without a request."""
    oidc: OidcConfig | None = None
    """Sign-in by an identity provider, beside admin keys."""

    @field_validator("public_url")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        return None if value is None else web_root(value)

    @model_validator(mode="after")
    def _returns(self) -> "ConsoleConfig":
        if self.oidc is not None and self.public_url is None:
            raise ValueError("oidc needs publicUrl: the provider sends browsers back there")
        return self
