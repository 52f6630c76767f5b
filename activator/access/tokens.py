"""Tokens (JWT, RFC 7519): whether one is an issuer's, for us, and still good; and whose it is.

What is cheap comes first, and the signature last: whoever makes tokens up shall not make us calculate for it.
"""

from __future__ import annotations

import binascii
import hashlib
import math
import warnings
from base64 import urlsafe_b64decode
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson
from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError, SecurityWarning
from joserfc.jwk import ECKey, OKPKey, RSAKey

from activator.access.limits import Callers
from torpor.errors import ForbiddenError, InvalidInputError, TorporError, UnauthorizedError
from torpor.spec.issuers import IssuerSpec

LONGEST = 16 * 1024
REMEMBERED = 10_000
"""Tokens that were found good: verifying costs as much as a whole request, and a client sends its token with each."""
REFUSED = 1_000
"""Likewise those whose signature was wrong."""
SUBJECTS = 100_000
"""Whose use is known at once."""
MAX_KEYS = 100
RSA_BITS = 2048

Signer = RSAKey | ECKey | OKPKey
_KINDS: Mapping[str, type[Signer]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
_PUBLIC = frozenset({"kty", "n", "e", "crv", "x", "y", "kid", "use", "alg"})
_NOT_FOR_SIGNING = ("X25519", "X448")
_KIND_OF = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}


class UnknownSignerError(UnauthorizedError):
    """The token names a key that the issuer is not known to have: it may be a new one."""


class Identity(NamedTuple):
    """Whose token it is."""

    subject: str
    expires_s: float
    """On the wall's clock, the leeway included."""


class KeySet:
    """The keys by which an issuer signs now."""

    def __init__(self, keys: dict[str | None, Signer], algorithms: dict[str | None, str]) -> None:
        self._keys = keys
        self._algorithms = algorithms

    def __len__(self) -> int:
        return len(self._keys)

    @classmethod
    def read(cls, raw: str | bytes, field: str) -> KeySet:
        """Read a JSON Web Key Set (RFC 7517); raises InvalidInputError. Keys of kinds not known here are left out."""
        try:
            document = orjson.loads(raw)
            listed = [each for each in document["keys"] if isinstance(each, dict)]
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise InvalidInputError(field, "…", 'a JSON Web Key Set is needed: {"keys": […]}') from error
        keys: dict[str | None, Signer] = {}
        algorithms: dict[str | None, str] = {}
        for each in listed[:MAX_KEYS]:
            kind = _KINDS.get(str(each.get("kty")))
            if kind is None or each.get("use", "sig") != "sig" or each.get("crv") in _NOT_FOR_SIGNING:
                continue
            try:
                key = _imported(kind, each)
            except (JoseError, ValueError, TypeError, KeyError):
                continue
            if isinstance(key, RSAKey) and key.public_key.key_size < RSA_BITS:
                continue
            kid = each.get("kid")
            kid = kid if isinstance(kid, str) else None
            keys[kid] = key
            if isinstance(each.get("alg"), str):
                algorithms[kid] = each["alg"]
        if not keys:
            said = f"a key to verify with is needed: RSA of {RSA_BITS} bits or more, EC, or OKP"
            raise InvalidInputError(field, "…", said)
        return cls(keys, algorithms)

    def signer(self, kid: str | None, algorithm: str) -> Signer | None:
        """Return the key that a token names, or the only one where it names none; None: there is no such key."""
        if kid is None and len(self._keys) == 1:
            kid = next(iter(self._keys))
        key = self._keys.get(kid)
        if key is None or key.key_type != _KIND_OF[algorithm[:2]]:
            return None
        return key if self._algorithms.get(kid, algorithm) == algorithm else None


def _imported(kind: type[Signer], document: dict[str, Any]) -> Signer:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)  # what is too weak is left out
        return kind.import_key({name: value for name, value in document.items() if name in _PUBLIC})


class Issuer:
    """One issuer's tokens: which were found good, and what their subjects have used."""

    def __init__(self, spec: IssuerSpec, keys: KeySet | None = None) -> None:
        self.spec = spec
        self.callers: Callers[str] = Callers("subject", spec.terms.quota, SUBJECTS)
        self._keys = keys
        self._good: OrderedDict[bytes, Identity] = OrderedDict()
        self._bad: OrderedDict[bytes, TorporError] = OrderedDict()

    @property
    def ready(self) -> bool:
        """Whether any token can be verified."""
        return self._keys is not None

    def use(self, keys: KeySet | None) -> None:
        """Verify by these from now on; None: there are none that may be relied on."""
        self._keys = keys
        self._good.clear()
        self._bad.clear()

    def verify(self, token: bytes, wall_s: float) -> Identity:
        """Return whose token it is; raises UnauthorizedError, or ForbiddenError where a claim is not enough."""
        digest = hashlib.sha256(token).digest()
        known = self._good.get(digest)
        if known is not None and wall_s < known.expires_s:
            self._good.move_to_end(digest)
            return known
        refused = self._bad.get(digest)
        if refused is not None:
            raise type(refused)(str(refused))
        identity = self._verified(token, digest, wall_s)
        while len(self._good) >= REMEMBERED:
            self._good.popitem(last=False)
        self._good[digest] = identity
        return identity

    def _verified(self, token: bytes, digest: bytes, wall_s: float) -> Identity:
        header, claims = read(token)
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in self.spec.algorithms:
            raise UnauthorizedError("the token is signed by an algorithm that is not taken here")
        if (kid is not None and not isinstance(kid, str)) or "crit" in header:  # no extension is understood here
            raise UnauthorizedError(NO_TOKEN)
        identity = self._of_claims(claims, wall_s)
        signer = None if self._keys is None else self._keys.signer(kid, algorithm)
        if signer is None:
            raise UnknownSignerError("the token is signed with a key that its issuer is not known to have")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SecurityWarning)  # "EdDSA" is what most issuers still call Ed25519
                jwt.decode(token, signer, algorithms=[algorithm])
        except (JoseError, ValueError) as error:
            raise self._remembered(digest, UnauthorizedError("the token's signature is wrong")) from error
        for name, wanted in self.spec.claims:
            if wanted.isdisjoint(_values(claims.get(name))):
                what = f"the token's claim {name} is not enough for this service"
                raise self._remembered(digest, ForbiddenError(what))
        return identity

    def _remembered(self, digest: bytes, error: TorporError) -> TorporError:
        """Do not calculate for this token once more."""
        while len(self._bad) >= REFUSED:
            self._bad.popitem(last=False)
        self._bad[digest] = error
        return error

    def _of_claims(self, claims: dict[str, Any], wall_s: float) -> Identity:
        spec = self.spec
        leeway_s = spec.leeway_s
        registry = jwt.JWTClaimsRegistry(
            math.floor(wall_s),
            math.ceil(leeway_s),
            iss={"essential": True, "value": spec.issuer},
            aud={"essential": True, "values": list(spec.audiences)},
            exp={"essential": True},
            sub={"essential": True},
        )
        try:
            registry.validate(claims)
        except ExpiredTokenError as error:
            raise UnauthorizedError("the token has expired") from error
        except JoseError as error:
            # The library's words name the claim, and never its value.
            raise UnauthorizedError(
                f"the token is not for this service, or not yet good: {error.description}"
            ) from error
        return Identity(claims["sub"], claims["exp"] + leeway_s)


NO_TOKEN = "the credential is no token (JWT)"  # noqa: S105  # words


def read(token: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims as they are written, true or not; raises UnauthorizedError."""
    parts = token.split(b".")
    if len(parts) != 3 or len(token) > LONGEST:
        raise UnauthorizedError(NO_TOKEN)
    try:
        header, claims = (orjson.loads(urlsafe_b64decode(part + b"=" * (-len(part) % 4))) for part in parts[:2])
    except (binascii.Error, ValueError) as error:
        raise UnauthorizedError(NO_TOKEN) from error
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise UnauthorizedError(NO_TOKEN)
    return header, claims


def issuer_of(token: bytes) -> str:
    """Return whose token it says it is; empty where it does not."""
    try:
        found = read(token)[1].get("iss")
    except TorporError:
        return ""
    return found if isinstance(found, str) else ""


def _values(claim: object) -> set[str]:
    """Return the values of a claim: a list's, or those of a text with spaces between, as `scope` has them."""
    if isinstance(claim, str):
        return {claim, *claim.split()}
    if isinstance(claim, list):
        return {str(each) for each in claim}
    return set() if claim is None else {str(claim).lower() if isinstance(claim, bool) else str(claim)}
