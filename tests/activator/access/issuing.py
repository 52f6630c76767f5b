"""An issuer of tokens: keys, tokens of every kind, and a server of its key set on loopback."""

from __future__ import annotations

import base64
import contextlib
import json
import warnings
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web
from joserfc import jws, jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

ISSUER, AUDIENCE = "https://idp.example.test/", "models"
FAR = 4_000_000_000
Signer = RSAKey | ECKey | OKPKey | OctKey


class Idp:
    """Whoever has the keys."""

    def __init__(self, *kids: str) -> None:
        self.keys: dict[str, RSAKey] = {}
        for kid in kids or ("one",):
            self.add(kid)

    def add(self, kid: str) -> None:
        self.keys[kid] = RSAKey.generate_key(2048)

    def jwks(self) -> str:
        return json.dumps({"keys": [{**key.as_dict(private=False), "kid": kid} for kid, key in self.keys.items()]})

    def config(self, **more: str) -> dict[str, str]:
        """What a ConfigMap says of it, with the keys themselves."""
        given = {name.replace("_", "-"): value for name, value in more.items()}
        inline = {} if "jwks-url" in given else {"jwks": self.jwks()}
        return {"issuer": ISSUER, "audience": AUDIENCE, **inline, **given}

    def token(self, kid: str | None = None, algorithm: str = "RS256", key: Signer | None = None, **claims: Any) -> str:
        """A token that is good, but for what is given."""
        kid = next(iter(self.keys)) if kid is None else kid
        header = {"alg": algorithm} | ({"kid": kid} if kid else {})
        return signed(header, claims, key or self.keys.get(kid) or next(iter(self.keys.values())))

    def unsigned(self, algorithm: str = "none") -> str:
        parts = ({"alg": algorithm, "kid": next(iter(self.keys))}, good({}))
        return ".".join([*(_encoded(part) for part in parts), ""])

    def confused(self) -> str:
        """A token whose HMAC has the public key for its secret: what a verifier must not be talked into."""
        key = next(iter(self.keys.values()))
        secret = OctKey.import_key(base64.urlsafe_b64encode(key.as_pem(private=False)).decode())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return jwt.encode({"alg": "HS256", "kid": next(iter(self.keys))}, good({}), secret, algorithms=["HS256"])


def good(claims: dict[str, Any]) -> dict[str, Any]:
    """Claims of a good token, changed; None takes one out."""
    changed = {"iss": ISSUER, "aud": AUDIENCE, "sub": "bob", "exp": FAR, **claims}
    return {name: value for name, value in changed.items() if value is not None}


def signed(header: dict[str, Any], claims: dict[str, Any], key: Signer) -> str:
    """Sign whatever it is."""
    registry = jws.JWSRegistry(strict_check_header=False, algorithms=[header["alg"]])
    registry.check_header = lambda _: None  # type: ignore[method-assign]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)
        return jws.serialize_compact(header, json.dumps(good(claims)).encode(), key, registry=registry)


def _encoded(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


class KeyServer:
    """Serves key sets as a test says."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.body = ""
        self.headers: dict[str, str] = {}
        self.asked = 0

    async def handle(self, _: web.Request) -> web.Response:
        self.asked += 1
        return web.Response(status=self.status, text=self.body, headers=self.headers)


@contextlib.asynccontextmanager
async def key_server() -> AsyncIterator[KeyServer]:
    made = KeyServer()
    app = web.Application()
    app.router.add_get("/keys", made.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    made.url = f"http://127.0.0.1:{port}/keys"
    try:
        yield made
    finally:
        await runner.cleanup()
