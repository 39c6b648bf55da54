"""What a provider's token must be: signed by its key, for us, for this sign-in. A small provider lies to order."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from freehold.serve.config import OidcConfig, OidcRoles
from freehold.serve.console.oidc import Provider, ProviderUnavailable, SignInRefused, claim_of
from freehold.serve.console.oidc_sign_in import role_by

KEY, ANOTHER_KEY = (RSAKey.generate_key(2048, {"kid": "1", "use": "sig"}) for _ in range(2))


class Liar:
    """A provider: what it says of itself, and the token that it gives."""

    def __init__(self) -> None:
        self.url = ""
        self.about: dict[str, Any] = {}
        self.token = ""
        self.asked: list[str] = []

    def signed(self, key: Any = KEY, algorithm: str = "RS256", **claims: Any) -> str:
        now = int(time.time())
        honest = {"iss": self.url, "aud": "freehold", "sub": "ada", "nonce": "n", "iat": now, "exp": now + 60}
        wanted = {name: value for name, value in {**honest, **claims}.items() if value is not None}
        return jwt.encode({"alg": algorithm, "kid": "1"}, wanted, key, algorithms=[algorithm])

    def answer(self, path: str) -> dict[str, Any]:
        self.asked.append(path)
        if path.endswith("/openid-configuration"):
            places = {"authorization_endpoint": "/a", "token_endpoint": "/t", "jwks_uri": "/k"}
            return {"issuer": self.url, **{name: self.url + place for name, place in places.items()}, **self.about}
        if path == "/k":
            return {"keys": [KEY.as_dict(private=False)]}
        return {"access_token": "at", "token_type": "Bearer", "id_token": self.token}


@pytest.fixture
def liar() -> Iterator[Liar]:
    made = Liar()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(made.answer(self.path)).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Answers)
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


def provider(liar: Liar) -> Provider:
    config = OidcConfig.model_validate(
        {
            "issuer": liar.url,
            "clientId": "freehold",
            "clientSecretFrom": {"env": "X"},
            "roles": {"viewer": ["*"]},
        }
    )
    return Provider(config, "secret", "https://console.test/console/oidc/callback")


async def test_an_honest_token_is_taken(liar: Liar) -> None:
    liar.token = liar.signed()
    assert (await provider(liar).claims("code", "n", "v"))["sub"] == "ada"


@pytest.mark.parametrize(
    ("lie", "says"),
    [
        ({"nonce": "of another sign-in"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"aud": "another-client"}, "aud"),
        ({"iss": "https://evil.example"}, "iss"),
        ({"exp": 1_700_000_000}, "expired"),
        ({"sub": None}, "sub"),
        ({"key": ANOTHER_KEY}, "signature"),
        ({"key": OctKey.import_key(b"secret-that-is-long-enough-for-hs256"), "algorithm": "HS256"}, "not valid"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_a_forged_token_is_refused(liar: Liar, lie: dict[str, Any], says: str) -> None:
    liar.token = liar.signed(**lie)
    with pytest.raises(SignInRefused) as refused:
        await provider(liar).claims("code", "n", "v")
    assert says in str(refused.value)


async def test_a_token_without_signature_is_refused(liar: Liar) -> None:
    _, body, _ = liar.signed().split(".")
    liar.token = f"eyJhbGciOiJub25lIn0.{body}."
    with pytest.raises(SignInRefused):
        await provider(liar).claims("code", "n", "v")


async def test_a_provider_by_another_name_is_none(liar: Liar) -> None:
    liar.about = {"issuer": "https://evil.example"}
    with pytest.raises(ProviderUnavailable, match="calls itself"):
        await provider(liar).url("s", "n", "v")
    liar.about = {"token_endpoint": None}
    with pytest.raises(ProviderUnavailable, match="does not tell token_endpoint"):
        await provider(liar).url("s", "n", "v")


async def test_a_provider_that_is_away_is_said_to_be(liar: Liar) -> None:
    config = OidcConfig.model_validate(
        {
            "issuer": "http://127.0.0.1:9",
            "clientId": "x",
            "clientSecretFrom": {"env": "X"},
            "roles": {"viewer": ["*"]},
        }
    )
    with pytest.raises(ProviderUnavailable, match="cannot be used now"):
        await Provider(config, "secret", "https://console.test").url("s", "n", "v")


ROLES = OidcRoles(claim="realm.roles", admin=("root",), operator=("ml",), viewer=("staff",))


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        ({"realm": {"roles": ["staff", "ml"]}}, "operator"),
        ({"realm": {"roles": ["root", "staff"]}}, "admin"),
        ({"realm": {"roles": "staff"}}, "viewer"),
        ({"realm.roles": ["ml"]}, "operator"),
        ({"realm": {"roles": ["*"]}}, None),
        ({"realm": {"roles": []}}, None),
        ({"realm": "root"}, None),
        ({}, None),
    ],
)
def test_roles_come_of_the_claim_alone(claims: dict[str, Any], role: str | None) -> None:
    assert role_by(ROLES, claims) == role


def test_everybody_may_look_where_that_is_said() -> None:
    assert role_by(OidcRoles(viewer=("*",)), {}) == "viewer"


def test_a_claim_is_found_by_its_path() -> None:
    assert claim_of({"a": {"b": [1]}}, "a.b") == [1]
    assert claim_of({"a.b": 2}, "a.b") == 2
    assert claim_of({"a": 3}, "a.b") is None
