"""An identity provider that speaks OpenID Connect: where browsers are sent, and what comes of their return.

Authorization code with PKCE and a nonce: https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowAuth
"""

import os
from collections.abc import Mapping
from typing import Any

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from freehold.core.errors import ConfigError, RemoteError
from freehold.serve.config import OidcConfig
from freehold.serve.gateway.errors import Unauthorized

TIMEOUT_S = 10.0
LEEWAY_S = 60
"""How far the provider's clock may be from ours."""
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
"""Signatures by the provider's private key: never `none`, nor one by a secret that we know too."""

Claims = Mapping[str, Any]


class ProviderUnavailable(RemoteError):
    """The identity provider does not answer, or not as one should."""

    code = "identity_provider_unavailable"


class SignInRefused(Unauthorized):
    """The identity provider, or what it said, does not let this sign-in through."""

    code = "sign_in_refused"


class Provider:
    """One identity provider; it is asked nothing before somebody wants to sign in."""

    def __init__(self, config: OidcConfig, secret: str, redirect_url: str) -> None:
        self._config = config
        self._secret = secret
        self._redirect_url = redirect_url
        self._about: dict[str, Any] | None = None
        self._keys: KeySet | None = None

    async def url(self, state: str, nonce: str, verifier: str) -> str:
        """Where to send the browser. Raises ProviderUnavailable."""
        about = await self._discovered()
        async with self._client() as client:
            made, _ = client.create_authorization_url(
                about["authorization_endpoint"], state=state, nonce=nonce, code_verifier=verifier
            )
        return str(made)

    async def claims(self, code: str, nonce: str, verifier: str) -> Claims:
        """What the provider says of whoever came back with this code.

        The ID token's claims, with those of the user info where the role's claim is not among them. Raises
        SignInRefused, ProviderUnavailable.
        """
        about = await self._discovered()
        try:
            async with self._client() as client:
                token = await client.fetch_token(about["token_endpoint"], code=code, code_verifier=verifier)
                claims = await self._verified(token, nonce)
                if claim_of(claims, self._config.roles.claim) is None and "userinfo_endpoint" in about:
                    more = (await client.get(about["userinfo_endpoint"])).raise_for_status().json()
                    if more.get("sub") == claims["sub"]:
                        return {**more, **claims}
        except OAuthError as error:
            raise SignInRefused("The identity provider refused the sign-in", why=str(error)) from error
        except JoseError as error:
            raise SignInRefused("The identity provider's token is not valid", why=str(error)) from error
        except (httpx2.HTTPError, ValueError) as error:
            raise self._unavailable(error) from error
        return claims

    async def _verified(self, token: Mapping[str, Any], nonce: str) -> dict[str, Any]:
        text = token.get("id_token")
        if not isinstance(text, str):
            raise SignInRefused("The identity provider sent no ID token", next_step="Its scopes must have `openid`.")
        try:
            decoded = self._decode(text, await self._key_set())
        except InvalidKeyIdError:  # the provider has rotated its keys
            decoded = self._decode(text, await self._key_set(afresh=True))
        options = {
            "iss": {"essential": True, "value": self._about_issuer()},
            "aud": {"essential": True, "value": self._config.client_id},
            "nonce": {"essential": True, "value": nonce},
        }
        params = {"client_id": self._config.client_id, "nonce": nonce, "access_token": token.get("access_token")}
        claims = CodeIDToken(decoded.claims, decoded.header, options, params)
        claims.validate(leeway=LEEWAY_S)
        return dict(claims)

    def _decode(self, text: str, keys: KeySet) -> jwt.Token:
        registry = JWSRegistry(algorithms=list(ALGORITHMS), strict_check_header=False)
        return jwt.decode(text, keys, registry=registry)

    def _about_issuer(self) -> str:
        assert self._about is not None, "nothing is verified before the provider was found"
        issuer: str = self._about["issuer"]
        return issuer

    async def _discovered(self) -> dict[str, Any]:
        """The provider's own description, read once. Raises ProviderUnavailable."""
        if self._about is None:
            url = f"{self._config.issuer}/.well-known/openid-configuration"
            about = await self._read(url)
            wanted = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")
            if missing := [name for name in wanted if not isinstance(about.get(name), str)]:
                raise self._unavailable(ValueError(f"{url} does not tell {', '.join(missing)}"))
            if about["issuer"].rstrip("/") != self._config.issuer:
                raise self._unavailable(ValueError(f"{url} calls itself {about['issuer']}"))
            self._about = about
        return self._about

    async def _key_set(self, *, afresh: bool = False) -> KeySet:
        if self._keys is None or afresh:
            about = await self._discovered()
            self._keys = KeySet.import_key_set(await self._read(about["jwks_uri"]))  # type: ignore[arg-type]
        return self._keys

    async def _read(self, url: str) -> dict[str, Any]:
        try:
            async with httpx2.AsyncClient(timeout=TIMEOUT_S) as client:
                found = (await client.get(url)).raise_for_status().json()
        except (httpx2.HTTPError, ValueError) as error:
            raise self._unavailable(error) from error
        if not isinstance(found, dict):
            raise self._unavailable(ValueError(f"{url} is no JSON object"))
        return found

    def _client(self) -> AsyncOAuth2Client:
        return AsyncOAuth2Client(
            self._config.client_id,
            self._secret,
            scope=" ".join(self._config.scopes),
            redirect_uri=self._redirect_url,
            code_challenge_method="S256",
            timeout=TIMEOUT_S,
        )

    def _unavailable(self, error: Exception) -> ProviderUnavailable:
        return ProviderUnavailable(
            f"The identity provider {self._config.issuer} cannot be used now",
            why=str(error) or type(error).__name__,
            next_step="Sign in with a key, or try again.",
        )


def claim_of(claims: Claims, path: str) -> Any:
    """The claim at this path, whose dots lead into objects; a claim whose own name has dots is found as well."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for part in path.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found


def client_secret_from(config: OidcConfig | None, environ: Mapping[str, str] = os.environ) -> str:
    """The secret that the config names; empty without OIDC. Raises ConfigError if it is not set."""
    if config is None:
        return ""
    name = config.client_secret_from.env
    if not environ.get(name):
        problem = f"gateway.console.oidc.clientSecretFrom: the environment variable {name} is not set"
        raise ConfigError("A secret is missing", [problem])
    return environ[name]
