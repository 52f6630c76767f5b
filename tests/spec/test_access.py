"""Policies, keys and issuers: what can be written, and what each mistake is told."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torpor.errors import InvalidInputError
from torpor.spec.access import Policy, Quota, Rate, Terms, parse_access, spelled
from torpor.spec.apikeys import (
    ALPHABET,
    KEY,
    KeyEntry,
    digest_of,
    make_key,
    parse_key_entry,
    read_entry,
    write_key_entry,
)
from torpor.spec.issuers import IssuerSpec, parse_issuer

FIELD = "metadata.annotations[torpor.dev/access]"


@pytest.mark.parametrize(
    ("raw", "policy"),
    [
        pytest.param("keys=a", Policy(("a",)), id="keys"),
        pytest.param(" keys = a , b.c ,a ; ", Policy(("a", "b.c")), id="spaces-and-twice"),
        pytest.param("jwt=idp; forward", Policy((), ("idp",), forward=True), id="jwt"),
        pytest.param("anonymous=all", Policy(anonymous=frozenset({"all"})), id="all"),
        pytest.param(
            "keys=a; anonymous=health,metadata", Policy(("a",), anonymous=frozenset({"health", "metadata"})), id="some"
        ),
        pytest.param("keys=a; rate=5/s", Policy(("a",), quota=Quota(Rate(5, 1, 1))), id="a-small-rate-has-no-burst"),
        pytest.param("keys=a; rate=100/s", Policy(("a",), quota=Quota(Rate(100, 1, 11))), id="a-large-one-has-some"),
        pytest.param("keys=a; rate=100/h;burst=7", Policy(("a",), quota=Quota(Rate(100, 3600, 7))), id="or-as-asked"),
        pytest.param("concurrency=9;keys=a", Policy(("a",), quota=Quota(None, 9)), id="at-once"),
    ],
)
def test_policies(raw: str, policy: Policy) -> None:
    """Directives in any order."""
    assert parse_access(FIELD, raw) == policy


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        pytest.param("", "say who may call", id="empty"),
        pytest.param("rate=5/s", "say who may call", id="nobody-is-named"),
        pytest.param("anonymous=health", "say who may call", id="health-alone"),
        pytest.param("keys", "write keys=…", id="no-value"),
        pytest.param("keys=", "write keys=…", id="empty-value"),
        pytest.param("keys=a; keys=b", "once", id="twice"),
        pytest.param("keys=a; forward=yes", "write forward", id="a-flag-with-a-value"),
        pytest.param("Keys=a", "there are keys", id="capitals"),
        pytest.param("allow=a", "there are keys", id="unknown"),
        pytest.param("keys=other/a", "names in this namespace", id="another-namespace"),
        pytest.param("keys=" + ",".join(f"s{n}" for n in range(17)), "at most 16", id="too-many"),
        pytest.param("keys=a; anonymous=some", "anonymous is a list of", id="unknown-word"),
        pytest.param("keys=a; rate=0/s", "per s, m or h", id="rate-0"),
        pytest.param("keys=a; rate=5", "per s, m or h", id="rate-without-time"),
        pytest.param("keys=a; rate=1.5/s", "per s, m or h", id="rate-and-a-half"),
        pytest.param("keys=a; rate=9999999/s", "up to 1000000", id="rate-too-large"),
        pytest.param("keys=a; burst=5", "belongs to a rate", id="burst-alone"),
        pytest.param("keys=a; rate=5/s; burst=0", "burst is a number", id="burst-0"),
        pytest.param("keys=a; concurrency=-1", "concurrency is a number", id="negative"),
        pytest.param("keys=a; concurrency=٣", "concurrency is a number", id="other-digits"),
    ],
)
def test_mistakes_in_policies(raw: str, words: str) -> None:
    """Each names the field, and what is allowed."""
    with pytest.raises(InvalidInputError, match=words) as error:
        parse_access(FIELD, raw)
    assert error.value.field == FIELD


@given(st.integers(1, 10**6), st.sampled_from("smh"))
def test_rates_are_spelled_as_they_are_read(count: int, unit: str) -> None:
    """Both ways."""
    rate = parse_access(FIELD, f"anonymous=all; rate={count}/{unit}").quota.rate
    assert rate is not None
    assert spelled(rate) == f"{count}/{unit}"


@given(st.binary(min_size=32, max_size=32))
def test_keys_have_one_form(random: bytes) -> None:
    """All of the random bytes are in it, and it fits into a header as it is."""
    key = make_key("abcd1234", random)
    assert KEY.fullmatch(key.encode())
    number = 0
    for digit in key.rpartition("_")[2]:
        number = number * 62 + ALPHABET.index(digit)
    assert number.to_bytes(32) == random


ENTRY = KeyEntry(
    digest_of(b"x"),
    "alice@example.org",
    1_800_000_000.0,
    Terms(Quota(Rate(5, 60, 2), 3), batch=True, services=frozenset("ab")),
)


def test_entries_are_read_as_they_are_written() -> None:
    """With everything, and with nothing."""
    digest = digest_of(b"x")
    written = write_key_entry(
        digest,
        name="alice@example.org",
        expires="2027-01-15T08:00:00Z",
        rate="5/m",
        burst="2",
        concurrency="3",
        priority="batch",
        services="a,b",
    )
    assert parse_key_entry("x", written) == ENTRY
    assert parse_key_entry("x", write_key_entry(digest, name=None)) == KeyEntry(digest)


@pytest.mark.parametrize(
    ("id_", "raw", "words"),
    [
        pytest.param("abcd", "tk_abcd_secret", "begins with sha256:", id="the-key-itself"),
        pytest.param("abcd", "sha256:secret", "64 hexadecimal digits", id="a-short-digest"),
        pytest.param("abcd", f"sha256:{'A' * 64}", "64 hexadecimal digits", id="capitals"),
        pytest.param("abcd", f"sha512:{'a' * 64}", "begins with sha256:", id="another-hash"),
        pytest.param("abcd", f"sha256:{'a' * 64}; name=secret secret", "name is at most", id="name"),
        pytest.param("abcd", f"sha256:{'a' * 64}; expires=secret", "expires is a time", id="expires"),
        pytest.param("abcd", f"sha256:{'a' * 64}; expires=2027-13-31T12:00:00Z", "expires is a time", id="month-13"),
        pytest.param("abcd", f"sha256:{'a' * 64}; expires=2027-01-31", "expires is a time", id="a-day"),
        pytest.param("abcd", f"sha256:{'a' * 64}; priority=secret", "interactive or batch", id="priority"),
        pytest.param("abcd", f"sha256:{'a' * 64}; services=Secret", "services is a list", id="services"),
        pytest.param("abcd", f"sha256:{'a' * 64}; secret", "there are name", id="unknown"),
        pytest.param("abcd", f"sha256:{'a' * 64}; rate=secret", "rate is a number", id="rate"),
        pytest.param("abc", f"sha256:{'a' * 64}", "lower-case letters", id="short-id"),
        pytest.param("tk_abcd_secret", f"sha256:{'a' * 64}", "lower-case letters", id="a-key-for-an-id"),
        pytest.param("abcd", "sekrét", "base64", id="beyond-ascii"),
    ],
)
def test_mistakes_in_entries_never_show_the_value(id_: str, raw: str, words: str) -> None:
    """For it may be somebody's key."""
    with pytest.raises(InvalidInputError, match=words) as error:
        read_entry(id_, base64.b64encode(raw.encode()).decode())
    assert "secret" not in str(error.value).lower()


def test_what_is_no_base64() -> None:
    """It is told, and not shown."""
    with pytest.raises(InvalidInputError, match="base64") as error:
        read_entry("abcd", "secret!")
    assert "secret" not in str(error.value)


GOOD = {"issuer": "https://idp", "audience": "us", "jwks-url": "https://idp/keys"}


def test_issuers() -> None:
    """With as little as there must be, and with everything."""
    assert parse_issuer(GOOD) == IssuerSpec("https://idp", ("us",), jwks_url="https://idp/keys")
    more = {
        "issuer": "x",
        "audience": "a, b",
        "jwks": "{}",
        "algorithms": "ES256",
        "leeway": "0",
        "claims": "tier=gold,platinum; scope=infer",
        "rate": "5/s",
        "concurrency": "2",
        "priority": "batch",
        "services": "app",
    }
    claims = (("tier", frozenset({"gold", "platinum"})), ("scope", frozenset({"infer"})))
    terms = Terms(Quota(Rate(5), 2), batch=True, services=frozenset({"app"}))
    assert parse_issuer(more) == IssuerSpec("x", ("a", "b"), "{}", "", ("ES256",), 0.0, claims, terms)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"issuer": ""}, r"data\[issuer\]", id="no-issuer"),
        pytest.param({"audience": " , "}, r"data\[audience\]", id="no-audience"),
        pytest.param({"jwks-url": ""}, "or the keys themselves", id="no-keys"),
        pytest.param({"jwks": "{}"}, "not both", id="both"),
        pytest.param({"jwks-url": "http://idp.example.org/keys"}, "use https:", id="http-to-anywhere"),
        pytest.param({"jwks-url": "https://user@idp/keys"}, "use https:", id="a-user"),
        pytest.param({"jwks-url": "file:///etc/passwd"}, "use https:", id="a-file"),
        pytest.param({"jwks-url": "https://[x/keys"}, "use https:", id="no-url"),
        pytest.param({"jwks-url": "https://idp:port/keys"}, "use https:", id="no-port"),
        pytest.param({"algorithms": "none"}, "there are RS256", id="none"),
        pytest.param({"algorithms": "RS256, HS256"}, "there are RS256", id="a-shared-secret"),
        pytest.param({"leeway": "301"}, "from 0 to 300", id="leeway"),
        pytest.param({"leeway": "nan"}, "from 0 to 300", id="leeway-nan"),
        pytest.param({"claims": "tier"}, "NAME=VALUE", id="claim-without-value"),
        pytest.param({"claims": "a=1;a=2"}, "each name once", id="claim-twice"),
        pytest.param({"rate": "fast"}, "rate is a number", id="rate"),
        pytest.param({"audiance": "us"}, "there are issuer", id="a-typing-error"),
    ],
)
def test_mistakes_in_issuers(change: dict[str, str], words: str) -> None:
    """Nothing is guessed about whom to trust."""
    with pytest.raises(InvalidInputError, match=words):
        parse_issuer(GOOD | change)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080/keys",
        "http://[::1]/k",
        "http://localhost/k",
        "http://idp.auth.svc/k",
        "https://idp:8443/k",
    ],
)
def test_where_keys_may_be(url: str) -> None:
    """By TLS anywhere, without it within the cluster or the machine."""
    assert parse_issuer(GOOD | {"jwks-url": url}).jwks_url == url
