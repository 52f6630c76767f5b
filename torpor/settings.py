"""Read settings at the door: an error names the key, the value and the range."""

from __future__ import annotations

from collections.abc import Mapping

from torpor.errors import SettingError


def number(key: str, raw: str | float, *, minimum: float, maximum: float, unit: str = "") -> float:
    """Return `raw` as a float within [minimum, maximum]; raises SettingError naming the key and range."""
    allowed = f"use a number from {minimum:g} to {maximum:g}{' ' + unit if unit else ''}"
    try:
        value = float(raw)
    except ValueError as error:
        raise SettingError(key, raw, allowed) from error
    if not minimum <= value <= maximum:  # also refuses NaN
        raise SettingError(key, raw, allowed)
    return value


def integer(key: str, raw: str | int, *, minimum: int, maximum: int, unit: str = "") -> int:
    """Return `raw` as an int within [minimum, maximum]; raises SettingError naming the key and range."""
    allowed = f"use a whole number from {minimum} to {maximum}{' ' + unit if unit else ''}"
    try:
        value = int(raw)
    except ValueError as error:
        raise SettingError(key, raw, allowed) from error
    if not minimum <= value <= maximum:
        raise SettingError(key, raw, allowed)
    return value


def port(key: str, raw: str | int) -> int:
    """Return a TCP port; 0 lets the system choose one."""
    return integer(key, raw, minimum=0, maximum=65535)


def flag(key: str, raw: str) -> bool:
    """Return true or false from the words people use for them."""
    lowered = raw.strip().lower()
    if lowered in {"1", "true", "yes", "on"}:
        return True
    if lowered in {"0", "false", "no", "off"}:
        return False
    raise SettingError(key, raw, "use true or false")


def choice(key: str, raw: str, allowed: Mapping[str, object] | tuple[str, ...]) -> str:
    """Return `raw` if it is one of `allowed`."""
    if raw not in allowed:
        raise SettingError(key, raw, "use one of " + ", ".join(allowed))
    return raw
