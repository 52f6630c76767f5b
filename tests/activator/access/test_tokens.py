"""Tokens: what passes, what does not, and what they may not talk us into."""

from __future__ import annotations

import base64
import json
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from activator.access import tokens
from activator.access.tokens import Issuer, KeySet, UnknownSignerError, issuer_of, read
from tests.activator.access.issuing import AUDIENCE, ISSUER, Idp, Signer, good, signed
from torpor.errors import ForbiddenError, InvalidInputError, TorporError, UnauthorizedError
from torpor.spec.issuers import IssuerSpec

NOW_S = 1_800_000_000.0
IDP = Idp("one", "two")
OTHER = Idp("one")
EC, EC384, ED = ECKey.generate_key("P-256"), ECKey.generate_key("P-384"), OKPKey.generate_key("Ed25519")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    SMALL = RSAKey.generate_key(1024)


def issuer(keys: str | None = None, **more: Any) -> Issuer:
    return Issuer(IssuerSpec(ISSUER, (AUDIENCE, "other"), **more), KeySet.read(keys or IDP.jwks(), "jwks"))


def verified(token: str, at: Issuer | None = None, now_s: float = NOW_S) -> str:
    return (at or issuer()).verify(token.encode(), now_s).subject


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(IDP.token(), id="plain"),
        pytest.param(IDP.token("two"), id="by-the-other-key"),
        pytest.param(IDP.token(algorithm="PS256"), id="PS256"),
        pytest.param(IDP.token(aud=["x", "other"]), id="one-of-its-audiences"),
        pytest.param(IDP.token(exp=NOW_S + 1), id="a-second-left"),
        pytest.param(IDP.token(exp=NOW_S - 29), id="a-clock-that-is-29-s-behind"),
        pytest.param(IDP.token(nbf=NOW_S + 29), id="a-clock-that-is-29-s-ahead"),
        pytest.param(IDP.token(nbf=NOW_S - 5, iat=NOW_S - 5, jti="x", azp="y", extra={"a": 1}), id="more-claims"),
    ],
)
def test_what_passes(token: str) -> None:
    """Signed by a key of the issuer, for us, in time."""
    assert verified(token) == "bob"


@pytest.mark.parametrize(
    ("token", "words"),
    [
        pytest.param("", "no token", id="nothing"),
        pytest.param("a.b", "no token", id="two-parts"),
        pytest.param("a.b.c", "no token", id="no-base64-of-json"),
        pytest.param("a.b.c.d.e", "no token", id="encrypted"),
        pytest.param(IDP.token() + "." + "x", "no token", id="a-part-more"),
        pytest.param("a" * 20_000, "no token", id="too-long"),
        pytest.param(IDP.unsigned(), "algorithm", id="none"),
        pytest.param(IDP.unsigned("None"), "algorithm", id="None"),
        pytest.param(IDP.unsigned("NONE"), "algorithm", id="NONE"),
        pytest.param(IDP.unsigned(""), "algorithm", id="no-algorithm"),
        pytest.param(IDP.unsigned("RS256"), "signature", id="no-signature"),
        pytest.param(IDP.confused(), "algorithm", id="HS256-with-the-public-key"),
        pytest.param(IDP.token(algorithm="RS512"), "algorithm", id="an-algorithm-that-is-not-listed"),
        pytest.param(OTHER.token(), "signature", id="signed-by-somebody-else"),
        pytest.param(IDP.token(exp=NOW_S - 31), "expired", id="expired"),
        pytest.param(IDP.token(exp=None), "exp", id="for-ever"),
        pytest.param(IDP.token(exp="4000000000"), "exp", id="exp-is-text"),
        pytest.param(IDP.token(nbf=NOW_S + 40), "not yet", id="not-yet"),
        pytest.param(IDP.token(iat=NOW_S + 4000), "future", id="from-the-future"),
        pytest.param(IDP.token(aud="others"), "aud", id="for-somebody-else"),
        pytest.param(IDP.token(aud=None), "aud", id="for-nobody"),
        pytest.param(IDP.token(aud=[]), "aud", id="for-an-empty-list"),
        pytest.param(IDP.token(iss="https://evil.example.test/"), "iss", id="another-issuer"),
        pytest.param(IDP.token(iss=ISSUER.rstrip("/")), "iss", id="almost-the-issuer"),
        pytest.param(IDP.token(iss=None), "iss", id="no-issuer"),
        pytest.param(IDP.token(sub=None), "sub", id="no-subject"),
        pytest.param(IDP.token(sub=""), "sub", id="an-empty-subject"),
        pytest.param(IDP.token(sub=7), "sub", id="a-subject-that-is-no-text"),
        pytest.param(IDP.token("three", key=IDP.keys["one"]), "not known", id="an-unknown-key"),
        pytest.param(IDP.token("", key=IDP.keys["one"]), "not known", id="no-key-named-where-there-are-two"),
        pytest.param(
            signed({"alg": "RS256", "kid": "one", "crit": ["x"], "x": 1}, {}, IDP.keys["one"]), "no token", id="crit"
        ),
    ],
)
def test_what_does_not(token: str, words: str) -> None:
    """Each for its own reason, in words without the token."""
    with pytest.raises(UnauthorizedError, match=words) as error:
        verified(token)
    assert not token or len(token) < 4 or token not in str(error.value)


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (EC, "ES256"),
        (EC384, "ES384"),
        (ED, "EdDSA"),
        (ED, "Ed25519"),
        (IDP.keys["one"], "RS512"),
        (IDP.keys["one"], "PS384"),
    ],
)
def test_every_algorithm_that_may_be_listed(key: Signer, algorithm: str) -> None:
    """With its kind of key; by another kind's it is refused before anything is calculated."""
    both = {
        "keys": [{**key.as_dict(private=False), "kid": "k"}, {**IDP.keys["two"].as_dict(private=False), "kid": "two"}]
    }
    at = issuer(json.dumps(both), algorithms=(algorithm, "HS256"))
    assert verified(IDP.token("k", algorithm, key), at) == "bob"
    if key.key_type != "RSA":
        with pytest.raises(UnknownSignerError):
            verified(IDP.token("two", algorithm, key), at)


def test_an_elliptic_key_of_another_curve_is_wrong() -> None:
    """ES256 with a key of P-384 is no signature, and no crash."""
    at = issuer(json.dumps({"keys": [{**EC384.as_dict(private=False), "kid": "k"}]}), algorithms=("ES256",))
    with pytest.raises(UnauthorizedError):
        verified(IDP.token("k", "ES256", EC), at)


def test_a_key_for_one_algorithm_is_for_no_other() -> None:
    """What the set says of a key holds."""
    one = {**IDP.keys["one"].as_dict(private=False), "kid": "one", "alg": "PS256"}
    at = issuer(json.dumps({"keys": [one]}))
    assert verified(IDP.token(algorithm="PS256"), at) == "bob"
    with pytest.raises(UnknownSignerError):
        verified(IDP.token(), at)


@pytest.mark.parametrize(
    ("raw", "count"),
    [
        pytest.param("", None, id="nothing"),
        pytest.param("[]", None, id="a-list"),
        pytest.param('{"keys": 7}', None, id="no-list"),
        pytest.param('{"keys": []}', None, id="no-keys"),
        pytest.param('{"keys": [7, {"kty": "RSA"}, {"kty": "AKP"}]}', None, id="nothing-that-is-a-key"),
        pytest.param(json.dumps({"keys": [OctKey.generate_key(256).as_dict()]}), None, id="a-shared-secret"),
        pytest.param(json.dumps({"keys": [SMALL.as_dict(private=False)]}), None, id="too-short"),
        pytest.param(json.dumps({"keys": [{**EC.as_dict(private=False), "use": "enc"}]}), None, id="for-encryption"),
        pytest.param(
            json.dumps({"keys": [OKPKey.generate_key("X25519").as_dict(private=False)]}), None, id="for-agreement"
        ),
        pytest.param(json.dumps({"keys": [EC.as_dict(private=True)]}), 1, id="a-private-key-is-read-as-public"),
        pytest.param(json.dumps({"keys": [{"kty": "new"}, {**EC.as_dict(private=False), "kid": "k"}]}), 1, id="one"),
        pytest.param(IDP.jwks(), 2, id="two"),
    ],
)
def test_key_sets(raw: str, count: int | None) -> None:
    """Keys that cannot be used are left out; a set without one that can is refused, and never shown."""
    if count is None:
        with pytest.raises(InvalidInputError, match="'…' is not allowed"):
            KeySet.read(raw, "jwks")
    else:
        assert len(KeySet.read(raw, "jwks")) == count


def test_a_token_that_names_no_key_has_the_only_one() -> None:
    """RFC 7515 has `kid` as a hint."""
    assert verified(OTHER.token("", key=OTHER.keys["one"]), issuer(OTHER.jwks())) == "bob"


@pytest.mark.parametrize(
    ("claims", "passes"),
    [
        ({"tier": "gold"}, True),
        ({"tier": ["silver", "gold"]}, True),
        ({"tier": "silver"}, False),
        ({"tier": "golden"}, False),
        ({"tier": {"gold": 1}}, False),
        ({}, False),
    ],
    ids=str,
)
def test_required_claims(claims: dict[str, Any], passes: bool) -> None:  # noqa: FBT001
    """One of the values is enough; a scope is a text with spaces between. Who lacks one is known, and may not."""
    at = issuer(claims=(("tier", frozenset({"gold", "platinum"})), ("scope", frozenset({"infer"}))))
    token = IDP.token(scope="read infer", **claims)
    for _ in range(2):  # the second time it is remembered
        if passes:
            assert verified(token, at) == "bob"
        else:
            with pytest.raises(ForbiddenError, match="claim tier"):
                verified(token, at)
    with pytest.raises(ForbiddenError, match="claim scope"):
        verified(IDP.token(scope="inference", tier="gold"), at)


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    seen: list[bytes] = []
    decode = tokens.jwt.decode

    def noted(token: bytes, *args: Any, **kwargs: Any) -> Any:
        seen.append(token)
        return decode(token, *args, **kwargs)

    monkeypatch.setattr(tokens.jwt, "decode", noted)
    return seen


def test_a_token_is_calculated_once(looked: list[bytes]) -> None:
    """Until it expires, to the second, or the issuer's keys change; a wrong one likewise."""
    at, token, wrong = issuer(), IDP.token(exp=NOW_S + 100), OTHER.token()
    for now_s in (NOW_S, NOW_S + 50, NOW_S + 129):
        assert verified(token, at, now_s) == "bob"
        with pytest.raises(UnauthorizedError, match="signature"):
            verified(wrong, at, now_s)
    assert len(looked) == 2
    with pytest.raises(UnauthorizedError, match="expired"):
        verified(token, at, NOW_S + 131)
    at.use(KeySet.read(OTHER.jwks(), "jwks"))
    assert verified(wrong, at) == "bob"
    with pytest.raises(UnauthorizedError, match="signature"):
        verified(token, at)
    at.use(None)
    with pytest.raises(UnknownSignerError):
        verified(wrong, at)


def test_what_is_plainly_wrong_is_never_calculated(looked: list[bytes]) -> None:
    """Claims, algorithm and key come first: the signature is the dear part."""
    for token in (IDP.token(exp=1), IDP.token(aud="x"), IDP.token(iss="x"), IDP.unsigned(), IDP.token("nobodys")):
        with pytest.raises(UnauthorizedError):
            verified(token)
    assert not looked


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Good and bad ones each have so many places."""
    monkeypatch.setattr(tokens, "REMEMBERED", 3)
    monkeypatch.setattr(tokens, "REFUSED", 2)
    at = issuer()
    for number in range(6):
        assert verified(IDP.token(sub=f"s{number}"), at) == f"s{number}"
        with pytest.raises(UnauthorizedError):
            verified(OTHER.token(sub=f"s{number}"), at)
    assert (len(at._good), len(at._bad)) == (3, 2)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
CLAIMS = st.dictionaries(st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "sub"]), JSON)
HEADERS = st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "jku", "x5u", "zip"]), JSON)


def _part(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


@given(HEADERS, CLAIMS, st.binary(max_size=300))
def test_no_token_made_up_passes_or_breaks_anything(header: dict[str, Any], claims: dict[str, Any], end: bytes) -> None:
    """Whatever header, claims and signature are: it is an error that has words for it."""
    signature = base64.urlsafe_b64encode(end).decode()
    token = ".".join((_part({"alg": "RS256", "kid": "one", **header}), _part(good(claims)), signature))
    with pytest.raises(TorporError):
        verified(token)
    issuer_of(token.encode())


@given(st.integers(0, 400), st.integers(0, 255))
def test_no_byte_of_a_token_can_be_changed(at: int, byte: int) -> None:
    """One that differs anywhere in meaning is another."""
    token = bytearray(IDP.token().encode())
    at %= len(token)
    before = bytes(token)
    token[at] = byte
    try:
        same = read(bytes(token)) == read(before)
        subject = issuer().verify(bytes(token), NOW_S).subject
    except UnauthorizedError:
        return
    assert subject == "bob"
    assert same


@given(st.binary(max_size=200))
def test_bytes_are_no_token(raw: bytes) -> None:
    """Anything at all."""
    with pytest.raises(UnauthorizedError):
        issuer().verify(raw, NOW_S)
    assert issuer_of(raw) == ""
