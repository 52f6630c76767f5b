"""Access: who may call a service and how often, as annotation `torpor.dev/access` says it.

One spelling here and in what it names: directives with `;` between, each `name`, or `name=value` with commas in lists.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torpor.errors import InvalidInputError
from torpor.spec.fields import DNS_LABEL

HEALTH, METADATA, ALL = "health", "metadata", "all"
ANONYMOUS = (HEALTH, METADATA, ALL)

MAX_SOURCES = 16
MAX_COUNT = 1_000_000
BURST_S = 0.1
"""A burst, where none is asked for, is what comes in so many seconds: a limit of N per second is N over ten seconds,
to within two of a hundred."""
_PERIODS: Mapping[str, int] = {"s": 1, "m": 60, "h": 3600}
_RATE = re.compile(r"([1-9][0-9]{0,6})/([smh])\Z")
_COUNT = re.compile(r"[1-9][0-9]{0,6}\Z")
_POLICY = ("keys", "jwt", "anonymous", "forward", "rate", "burst", "concurrency")


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in so many seconds, evenly; `burst` of them at once after a pause."""

    count: int
    period_s: int = 1
    burst: int = 1

    @property
    def pause_s(self) -> float:
        """Between two, evenly."""
        return self.period_s / self.count


@dataclass(frozen=True, slots=True)
class Quota:
    """How much somebody may ask; None: as much as there is."""

    rate: Rate | None = None
    concurrency: int | None = None
    """Requests at once: those that wait are counted too."""


NO_QUOTA = Quota()


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may call a service, and how often all of them together."""

    keys: tuple[str, ...] = ()
    """Secrets of the namespace."""
    jwt: tuple[str, ...] = ()
    """ConfigMaps of the namespace."""
    anonymous: frozenset[str] = frozenset()
    """What is answered to anybody."""
    forward: bool = False
    """The pod sees the credential too."""
    quota: Quota = NO_QUOTA


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for one caller."""

    quota: Quota = NO_QUOTA
    batch: bool = False
    """Its requests are of the batch, whatever they say."""
    services: frozenset[str] = frozenset()
    """Which it may call, by the names of Routes; empty: every one whose policy knows it."""


NO_TERMS = Terms()


def parse_access(field: str, raw: str) -> Policy:
    """Read `torpor.dev/access`; raises InvalidInputError naming `field`."""
    given = directives(field, raw, raw, _POLICY, flags=("forward",))
    anonymous = frozenset(members(given.get("anonymous", "")))
    if not anonymous <= set(ANONYMOUS):
        raise InvalidInputError(field, raw, f"anonymous is a list of {', '.join(ANONYMOUS)}")
    keys, jwt = (_sources(field, raw, given.get(name, ""), name) for name in ("keys", "jwt"))
    if not keys and not jwt and ALL not in anonymous:
        raise InvalidInputError(field, raw, "say who may call: keys=SECRET, jwt=CONFIGMAP, or anonymous=all")
    return Policy(keys, jwt, anonymous, "forward" in given, _quota(field, raw, given))


def _sources(field: str, shown: str, raw: str, name: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(members(raw)))
    if len(found) > MAX_SOURCES or not all(_is_name(each) for each in found):
        raise InvalidInputError(field, shown, f"{name} is a list of names in this namespace, at most {MAX_SOURCES}")
    return found


def spelled(rate: Rate) -> str:
    """Return a rate as `parse_access` reads it."""
    unit = next(unit for unit, period_s in _PERIODS.items() if period_s == rate.period_s)
    return f"{rate.count}/{unit}"


# --- what is spelled alike elsewhere --------------------------------------------------------------------------------


def directives(
    field: str, raw: str, shown: object, allowed: tuple[str, ...], flags: tuple[str, ...] = ()
) -> dict[str, str]:
    """Return what is given of what is allowed; raises InvalidInputError naming `field`, with `shown` for its value."""
    found: dict[str, str] = {}
    for part in (each.strip() for each in raw.split(";")):
        if not part:
            continue
        name, mark, value = (each.strip() for each in part.partition("="))
        if name not in allowed:
            raise InvalidInputError(field, shown, f"there are {', '.join(allowed)}, with ';' between")
        if name in found or (name in flags) == bool(mark) or (mark and not value):
            form = name if name in flags else f"{name}=…"
            raise InvalidInputError(field, shown, f"write {form}, once")
        found[name] = value
    return found


def _quota(field: str, shown: object, given: Mapping[str, str]) -> Quota:
    rate: Rate | None = None
    burst = None if "burst" not in given else _count(field, shown, "burst", given["burst"])
    if "rate" in given:
        fits = _RATE.match(given["rate"])
        if fits is None or int(fits[1]) > MAX_COUNT:
            raise InvalidInputError(field, shown, f"rate is a number up to {MAX_COUNT} per s, m or h, as 10/s")
        count, period_s = int(fits[1]), _PERIODS[fits[2]]
        rate = Rate(count, period_s, burst or 1 + int(count / period_s * BURST_S))
    elif burst is not None:
        raise InvalidInputError(field, shown, "burst belongs to a rate: rate=10/s; burst=20")
    concurrency = given.get("concurrency")
    return Quota(rate, None if concurrency is None else _count(field, shown, "concurrency", concurrency))


def _count(field: str, shown: object, name: str, raw: str) -> int:
    if _COUNT.match(raw) is None or int(raw) > MAX_COUNT:
        raise InvalidInputError(field, shown, f"{name} is a number from 1 to {MAX_COUNT}")
    return int(raw)


def terms_of(field: str, shown: object, given: Mapping[str, str]) -> Terms:
    """Read what holds for one caller; raises InvalidInputError."""
    priority = given.get("priority", "interactive")
    if priority not in {"interactive", "batch"}:
        raise InvalidInputError(field, shown, "priority is interactive or batch")
    services = frozenset(members(given.get("services", "")))
    if not all(DNS_LABEL.match(each) for each in services):
        raise InvalidInputError(field, shown, "services is a list of names, with ',' between")
    return Terms(_quota(field, shown, given), priority == "batch", services)


def members(raw: str) -> list[str]:
    """Return the members of a list with commas."""
    return [each.strip() for each in raw.split(",") if each.strip()]


def _is_name(raw: str) -> bool:
    return len(raw) <= 253 and all(DNS_LABEL.match(part) for part in raw.split("."))
