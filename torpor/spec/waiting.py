"""Torpor's own annotations about the time before a pod is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torpor.errors import InvalidInputError
from torpor.spec import names
from torpor.spec.fields import DNS_LABEL

HEALTH = "health"
METADATA = "metadata"
METADATA_ONLY = "metadata-or-503"
WORDS = (HEALTH, METADATA, METADATA_ONLY)

MAX_WAKES = 16
MIN_ACTIVATION_S = 0.001
MAX_ACTIVATION_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Asleep:
    """What is answered for a revision that sleeps, without waking it."""

    health: bool = False
    """Whether it is alive (yes) and ready (no)."""
    metadata: bool = False
    """What the model last said of itself."""
    never_for_metadata: bool = False
    """Where that is not known, 503 instead of waking it."""


NOTHING_ASLEEP = Asleep()
"""Every request wakes: the default."""


def parse_asleep(field: str, raw: str) -> Asleep:
    """Read `torpor.dev/answer-while-asleep`; raises InvalidInputError naming `field`."""
    words = {word.strip() for word in raw.split(",") if word.strip()}
    if not words <= set(WORDS):
        raise InvalidInputError(field, raw, f"use a list of {', '.join(WORDS)}, with commas between")
    return Asleep(HEALTH in words, bool(words & {METADATA, METADATA_ONLY}), METADATA_ONLY in words)


def parse_wakes(field: str, raw: str) -> tuple[str, ...]:
    """Read `torpor.dev/wakes`; raises InvalidInputError naming `field`."""
    services = tuple(dict.fromkeys(name.strip() for name in raw.split(",") if name.strip()))
    if len(services) > MAX_WAKES or not all(DNS_LABEL.match(name) for name in services):
        raise InvalidInputError(field, raw, f"use names of services in this namespace, at most {MAX_WAKES}")
    return services


def parse_activation_timeout(field: str, raw: str) -> float:
    """Read `torpor.dev/activation-timeout-seconds`; raises InvalidInputError naming `field`."""
    try:
        seconds = float(raw)
    except ValueError:
        seconds = 0.0
    if not MIN_ACTIVATION_S <= seconds <= MAX_ACTIVATION_S:
        allowed = f"use a number from {MIN_ACTIVATION_S:g} to {MAX_ACTIVATION_S:g} seconds"
        raise InvalidInputError(field, raw, allowed)
    return seconds


def check(annotations: Mapping[str, str], path: str) -> None:
    """Raise InvalidInputError for the first of them that cannot be read; `path` is where they stand."""
    for name, parse in _PARSERS.items():
        raw = annotations.get(name)
        if raw is not None:
            parse(f"{path}[{name}]", raw)


_PARSERS = {
    names.ACTIVATION_TIMEOUT: parse_activation_timeout,
    names.ANSWER_WHILE_ASLEEP: parse_asleep,
    names.WAKES: parse_wakes,
}
