"""API keys of one Secret: recognised by their digests, in the same time whether there is such a key or not."""

from __future__ import annotations

import hmac

from activator.access import credentials, limits
from activator.access.grant import Caller
from activator.access.limits import Usage
from torpor.errors import InvalidInputError
from torpor.spec.apikeys import KEY, KeyEntry, digest_of, read_entry
from torpor.spec.kinds import Object, key_of

_NOBODY = bytes(32)
"""What is compared with where there is no such id. No key has this digest, as far as anybody knows."""
LONGEST = 128
"""Bytes of anything that may be a key; longer ones are not looked at."""


class Key:
    """One key, and what it has used."""

    __slots__ = ("callers", "entry", "usage")

    def __init__(self, place: str, id_: str, entry: KeyEntry, usage: Usage) -> None:
        self.entry = entry
        self.usage = usage
        who, name = f"key:{place}/{id_}".encode(), f"key:{entry.name or id_}"
        limited = limits.of("key", entry.terms.quota, usage)
        self.callers = {header: Caller(who, name, entry.terms, limited, header) for header in credentials.HEADERS}
        """Who it is, by the header that it is shown in."""


class KeyRing:
    """The keys of a Secret."""

    __slots__ = ("keys", "problems")

    def __init__(self, keys: dict[bytes, Key], problems: tuple[str, ...] = ()) -> None:
        self.keys = keys
        """By their ids."""
        self.problems = problems
        """Entries that cannot be read: nobody has these keys."""

    def __len__(self) -> int:
        return len(self.keys)

    @classmethod
    def read(cls, secret: Object, before: KeyRing | None = None) -> KeyRing:
        """Read a Secret. Keys that were there `before` have used what they had."""
        used = {} if before is None else before.keys
        keys: dict[bytes, Key] = {}
        problems: list[str] = []
        place = "/".join(key_of(secret))
        for id_, raw in (secret.get("data") or {}).items():
            try:
                entry = read_entry(id_, raw)
            except InvalidInputError as error:
                problems.append(str(error))
                continue
            known = used.get(id_.encode())
            usage = Usage() if known is None else known.usage
            keys[id_.encode()] = Key(place, id_, entry, usage)
        return cls(keys, tuple(problems))

    def find(self, digest: bytes, id_: bytes) -> Key | None:
        """Return the key of this id, if its digest is this one."""
        key = self.keys.get(id_)
        fits = hmac.compare_digest(_NOBODY if key is None else key.entry.digest, digest)
        return key if fits else None


def read_key(raw: bytes) -> tuple[bytes, bytes] | None:
    """Return (digest, id) of what may be a key; None for what has not even its form."""
    found = KEY.match(raw) if len(raw) <= LONGEST else None
    return None if found is None else (digest_of(raw), found[1])
