"""API keys of one Secret: recognised by their digests, in the same time whether there is such a key or not."""

from __future__ import annotations

from activator.access import credentials, limits
from activator.access.grant import Caller
from activator.access.limits import Usage
from torpor.errors import InvalidInputError
from torpor.spec.apikeys import KeyEntry, digest_of, read_entry
from torpor.spec.kinds import Object, key_of

LONGEST = 128
"""Bytes of anything that may be a key; longer ones are not looked at."""


class Key:
    """One key, and what it has used."""

    __slots__ = ("begins", "callers", "entry", "usage")

    def __init__(self, place: str, id_: str, entry: KeyEntry, usage: Usage) -> None:
        self.begins = f"tk_{id_}_".encode()
        self.entry = entry
        self.usage = usage
        who, name = f"key:{place}/{id_}".encode(), f"key:{entry.name or id_}"
        limited = limits.of("key", entry.terms.quota, usage)
        self.callers = {header: Caller(who, name, entry.terms, limited, header) for header in credentials.HEADERS}
        """Who it is, by the header that it is shown in."""


class KeyRing:
    """The keys of a Secret."""

    __slots__ = ("_by_digest", "keys", "problems")

    def __init__(self, keys: dict[bytes, Key], problems: tuple[str, ...] = ()) -> None:
        self.keys = keys
        """By their ids."""
        self._by_digest = {key.entry.digest: key for key in keys.values()}
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

    def find(self, raw: bytes, digest: bytes) -> Key | None:
        """Return the key that this is; `digest` is its own.

        Nobody can tell by the time of a look-up by digest how near a guess was: what is near in digests is not in keys.
        """
        key = self._by_digest.get(digest)
        return key if key is not None and raw.startswith(key.begins) else None


def digest_of_key(raw: bytes) -> bytes | None:
    """Return the digest of what may be a key; None for what has not even its length."""
    return digest_of(raw) if len(raw) <= LONGEST else None
