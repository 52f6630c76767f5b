"""Issuers of tokens (JWT): whose are taken, and what must be in them, as a ConfigMap says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from torpor.errors import InvalidInputError
from torpor.spec.access import NO_TERMS, Terms, members, terms_of

LABEL = "jwt"
"""Value of label `torpor.dev/access` on a ConfigMap about an issuer."""
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
"""By which tokens may be signed: each with a key that only the issuer has. `none` and HS... are not among them."""
DEFAULT_ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA", "Ed25519")
LEEWAY_S = 30.0
MAX_LEEWAY_S = 300.0
_CLUSTER = (".svc", ".svc.cluster.local", ".localhost")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_TERMS = ("rate", "burst", "concurrency", "priority", "services")
_ISSUER = (
    "issuer",
    "audience",
    "jwks",
    "jwks-url",
    "algorithms",
    "leeway",
    "claims",
    "rate",
    "burst",
    "concurrency",
    "priority",
    "services",
)


@dataclass(frozen=True, slots=True)
class IssuerSpec:
    """Whose tokens are taken, and what must be in them."""

    issuer: str
    audiences: tuple[str, ...]
    jwks: str = ""
    """The keys themselves, or"""
    jwks_url: str = ""
    """where they are."""
    algorithms: tuple[str, ...] = DEFAULT_ALGORITHMS
    leeway_s: float = LEEWAY_S
    claims: tuple[tuple[str, frozenset[str]], ...] = ()
    """By name, which values are enough."""
    terms: Terms = NO_TERMS
    """For each subject by itself."""


def parse_issuer(data: Mapping[str, str], path: str = "data") -> IssuerSpec:
    """Read a ConfigMap about an issuer; raises InvalidInputError."""

    def at(name: str) -> str:
        return f"{path}[{name}]"

    for name in data:
        if name not in _ISSUER:
            raise InvalidInputError(at(name), "…", f"there are {', '.join(_ISSUER)}")
    issuer, audiences = data.get("issuer", "").strip(), tuple(members(data.get("audience", "")))
    for name, given in (("issuer", issuer), ("audience", audiences)):
        if not given:
            raise InvalidInputError(at(name), data.get(name), "it is required: other tokens are for others")
    url = data.get("jwks-url", "").strip()
    if bool(url) == bool(data.get("jwks", "").strip()):
        raise InvalidInputError(at("jwks-url"), url, "give it, or the keys themselves as jwks, and not both")
    if url and not _is_safe(url):
        raise InvalidInputError(at("jwks-url"), url, "use https:, or http: within the cluster or this machine")
    algorithms = tuple(members(data.get("algorithms", ""))) or DEFAULT_ALGORITHMS
    if not set(algorithms) <= set(ALGORITHMS):
        raise InvalidInputError(at("algorithms"), data["algorithms"], f"there are {', '.join(ALGORITHMS)}")
    quotas = {name: data[name].strip() for name in _TERMS if name in data}
    terms = terms_of(path, dict(quotas), quotas)
    leeway_s, claims = _leeway(at("leeway"), data.get("leeway", "")), _claims(at("claims"), data.get("claims", ""))
    return IssuerSpec(issuer, audiences, data.get("jwks", ""), url, algorithms, leeway_s, claims, terms)


def _leeway(field: str, raw: str) -> float:
    if not raw.strip():
        return LEEWAY_S
    try:
        seconds = float(raw)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= MAX_LEEWAY_S:
        raise InvalidInputError(field, raw, f"use seconds from 0 to {MAX_LEEWAY_S:g}")
    return seconds


def _claims(field: str, raw: str) -> tuple[tuple[str, frozenset[str]], ...]:
    found: dict[str, frozenset[str]] = {}
    for part in (each.strip() for each in raw.split(";")):
        if not part:
            continue
        name, _, values = part.partition("=")
        wanted = frozenset(members(values))
        if not name.strip() or not wanted or name.strip() in found:
            raise InvalidInputError(field, raw, "use NAME=VALUE,VALUE; NAME=VALUE: each name once, one value is enough")
        found[name.strip()] = wanted
    return tuple(found.items())


def _is_safe(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return False
    if not host or parts.username or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and (host in _LOOPBACK or host.endswith(_CLUSTER)))
