"""API keys: how one is written, by what it is recognised, and what a Secret says of it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from torpor.errors import InvalidInputError
from torpor.spec.access import NO_TERMS, Terms, directives, terms_of
from torpor.spec.timestamps import seconds, timestamp

LABEL = "keys"
"""Value of label `torpor.dev/access` on a Secret with keys."""
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
KEY_BYTES = 32
KEY_DIGITS = 43
"""Of base 62, for so many bytes."""
ID = re.compile(r"[a-z0-9]{4,32}\Z")
KEY = re.compile(rb"tk_([a-z0-9]{4,32})_[0-9A-Za-z]{43}\Z")
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})\Z")
_LABEL = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.@]{0,61}[A-Za-z0-9])?\Z")
_ENTRY = ("name", "expires", "rate", "burst", "concurrency", "priority", "services")


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """One API key, as its Secret has it: not the key."""

    digest: bytes
    name: str = ""
    expires_s: float | None = None
    """On the wall's clock."""
    terms: Terms = NO_TERMS


def make_key(id_: str, random: bytes) -> str:
    """Return the text of a key, of an id and of `KEY_BYTES` random bytes."""
    number, digits = int.from_bytes(random), ""
    for _ in range(KEY_DIGITS):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return f"tk_{id_}_{digits}"


def digest_of(key: bytes) -> bytes:
    """Return by what a key is recognised.

    One round of SHA-256, and no salt: a key has 256 random bits, so there is nothing to guess. What makes hashes of
    passwords slow would protect nothing here, and make every request, the rejected ones first, expensive.
    """
    return hashlib.sha256(key).digest()


def read_entry(id_: str, raw: str) -> KeyEntry:
    """Read an entry of a Secret's data; raises InvalidInputError, which shows nothing that may be a key."""
    field = f"data[{id_}]" if ID.match(id_) else "data[…]"  # somebody may have put the key itself there
    if not ID.match(id_):
        raise InvalidInputError(field, "…", "its name is the key's id, 4 to 32 lower-case letters and digits")
    try:
        text = base64.b64decode(raw, validate=True).decode("ascii")
    except (binascii.Error, ValueError) as error:
        raise InvalidInputError(field, "…", "text in base64 is needed") from error
    return parse_key_entry(field, text)


def parse_key_entry(field: str, raw: str) -> KeyEntry:
    """Read `sha256:DIGEST; name=…; …`; raises InvalidInputError, which never shows the value: it may be a key."""
    first, _, rest = raw.strip().partition(";")
    digest = _DIGEST.match(first.strip())
    if digest is None:
        raise InvalidInputError(field, "…", "it begins with sha256: and 64 hexadecimal digits, as `torpor key` writes")
    given = directives(field, rest, "…", _ENTRY)
    name = given.get("name", "")
    if name and not is_label(name):
        raise InvalidInputError(field, "…", "name is at most 63 letters, digits, '-', '_', '.' and '@'")
    expires_s = None if "expires" not in given else _moment(field, given["expires"])
    return KeyEntry(bytes.fromhex(digest[1]), name, expires_s, terms_of(field, "…", given))


def write_key_entry(digest: bytes, **directives: str | None) -> str:
    """Return what `parse_key_entry` reads."""
    more = [f"{name}={value}" for name, value in directives.items() if value]
    return "; ".join([f"sha256:{digest.hex()}", *more])


def is_label(name: str) -> bool:
    """Tell whether a key may go by this name."""
    return _LABEL.match(name) is not None


def _moment(field: str, raw: str) -> float:
    try:
        moment = seconds(raw)
    except InvalidInputError:
        moment = -1.0
    if moment < 0 or timestamp(moment) != raw:  # a thirteenth month has the form, too
        raise InvalidInputError(field, "…", "expires is a time as 2027-01-31T12:00:00Z")
    return moment
