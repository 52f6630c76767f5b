"""Settings fail at the door, naming key, value and range."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from torpor import settings
from torpor.errors import InvalidInputError, SettingError


@pytest.mark.parametrize(
    ("read", "value"),
    [
        pytest.param(lambda: settings.number("k", "1.5", minimum=1, maximum=2), 1.5, id="number"),
        pytest.param(lambda: settings.number("k", 2, minimum=1, maximum=2), 2.0, id="number at its limit"),
        pytest.param(lambda: settings.integer("k", "7", minimum=7, maximum=7), 7, id="integer"),
        pytest.param(lambda: settings.port("k", "0"), 0, id="any port"),
        pytest.param(lambda: settings.port("k", 65535), 65535, id="last port"),
        pytest.param(lambda: settings.flag("k", " Yes "), True, id="yes"),
        pytest.param(lambda: settings.flag("k", "off"), False, id="off"),
        pytest.param(lambda: settings.choice("k", "a", ("a", "b")), "a", id="one of a tuple"),
        pytest.param(lambda: settings.choice("k", "b", {"a": 1, "b": 2}), "b", id="one of a mapping"),
    ],
)
def test_what_is_allowed_is_read(read: Callable[[], object], value: object) -> None:
    """Both ends of a range belong to it."""
    assert read() == value
    assert type(read()) is type(value)


@pytest.mark.parametrize(
    ("read", "message"),
    [
        pytest.param(
            lambda: settings.number("wait", "x", minimum=1, maximum=2, unit="seconds"),
            "wait: 'x' is not allowed; use a number from 1 to 2 seconds",
            id="no number",
        ),
        pytest.param(lambda: settings.number("k", "nan", minimum=1, maximum=2), "k: 'nan' .* 1 to 2", id="nan"),
        pytest.param(lambda: settings.number("k", 2.1, minimum=1, maximum=2), "k: 2.1 .* 1 to 2", id="over"),
        pytest.param(lambda: settings.integer("k", "1.0", minimum=1, maximum=2), "k: '1.0' .* 1 to 2", id="fraction"),
        pytest.param(lambda: settings.integer("k", 0, minimum=1, maximum=2), "k: 0 .* 1 to 2", id="under"),
        pytest.param(lambda: settings.port("port", "65536"), "port: '65536' .* 0 to 65535", id="port"),
        pytest.param(lambda: settings.flag("k", "maybe"), "k: 'maybe' .* true or false", id="flag"),
        pytest.param(lambda: settings.choice("k", "c", ("a", "b")), "k: 'c' .* one of a, b", id="choice"),
    ],
)
def test_what_is_not_allowed_is_named(read: Callable[[], object], message: str) -> None:
    """Key, value and range are in the message."""
    with pytest.raises(SettingError, match=message):
        read()


def test_long_values_are_cut() -> None:
    """A megabyte given by mistake does not fill the log."""
    message = str(InvalidInputError("k", "x" * 1_000_000, "use less"))
    assert len(message) < 300
    assert message.endswith("… is not allowed; use less")
