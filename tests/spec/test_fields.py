"""Reading JSON field by field: defaults, types, and errors that name the whole path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from torpor.errors import InvalidInputError
from torpor.spec.fields import DNS_1035_LABEL, DNS_LABEL, Fields


def deep() -> Fields:
    """An object three levels down, so that paths have something to say."""
    raw = {"spec": {"items": [{}, {"text": 1, "flag": "yes", "count": 2.5, "list": {}, "texts": ["a", 2], "map": {"k": 3}, "objects": [4], "none": None}]}}  # fmt: skip  # noqa: E501
    return Fields(raw).object("spec").objects("items")[1]


@pytest.mark.parametrize(
    ("read", "message"),
    [
        pytest.param(lambda f: f.text("text"), "spec.items[1].text: 1 is not allowed; a string", id="text"),
        pytest.param(lambda f: f.required_text("absent"), "spec.items[1].absent: None .* required", id="required"),
        pytest.param(lambda f: f.required_text("none"), "spec.items[1].none: None .* required", id="required null"),
        pytest.param(lambda f: f.boolean("flag"), "spec.items[1].flag: 'yes' .* true or false", id="boolean"),
        pytest.param(lambda f: f.object("text"), "spec.items[1].text: 1 .* an object", id="object"),
        pytest.param(lambda f: f.objects("list"), r"spec.items[1].list: {} .* a list", id="list"),
        pytest.param(lambda f: f.objects("objects"), r"spec.items[1].objects[0]: 4 .* an object", id="item of a list"),
        pytest.param(lambda f: f.texts("texts"), r"spec.items[1].texts[1]: 2 .* a string", id="text of a list"),
        pytest.param(lambda f: f.text_map("map"), r"spec.items[1].map[k]: 3 .* a string", id="value of a map"),
        pytest.param(
            lambda f: f.integer("count", minimum=0, maximum=9),
            "spec.items[1].count: 2.5 .* whole number from 0 to 9",
            id="fraction",
        ),
    ],
)
def test_an_error_names_path_value_and_what_is_allowed(read: Callable[[Fields], Any], message: str) -> None:
    """Whoever reads the error finds the line in the YAML."""
    with pytest.raises(InvalidInputError, match=message.replace("[", r"\[").replace("]", r"\]")):
        read(deep())


@pytest.mark.parametrize("raw", [{}, {"x": None}])
def test_absent_and_null_are_the_default(raw: dict[str, Any]) -> None:
    """Kubernetes makes no difference between the two, so neither do we."""
    fields = Fields(raw)
    assert "x" not in fields
    assert fields.text("x", "default") == "default"
    assert fields.boolean("x", default=True) is True
    assert fields.integer("x", minimum=1, maximum=2) is None
    assert fields.texts("x") == ()
    assert fields.objects("x") == []
    assert fields.text_map("x") == {}
    assert fields.object("x").raw == {}
    assert fields.object("x").at("y") == "x.y"


@pytest.mark.parametrize("value", [True, "3", 0, 10, 3.5, [], float("inf"), float("nan"), 10**400])
def test_integer_refuses(value: object) -> None:
    """Booleans, text, fractions, what is not finite, and what is out of range are no whole numbers."""
    with pytest.raises(InvalidInputError, match="whole number from 1 to 9"):
        Fields({"n": value}).integer("n", minimum=1, maximum=9)


@pytest.mark.parametrize("value", [3, 3.0])
def test_integer_reads_both_ways_json_writes_three(value: float) -> None:
    """Some clients write 3.0."""
    number = Fields({"n": value}).integer("n", minimum=1, maximum=9)
    assert number == 3
    assert isinstance(number, int)


@pytest.mark.parametrize(
    ("name", "fits"),
    [("a", True), ("a-1", True), ("1a", True), ("a" * 63, True)]
    + [(bad, False) for bad in ("", "-a", "a-", "A", "a.b", "a_b", "a" * 64, "a\n", "ä")],
)
def test_dns_label(name: str, fits: bool) -> None:  # noqa: FBT001
    """DNS-1123: what Kubernetes takes as the name of most things."""
    assert bool(DNS_LABEL.match(name)) is fits
    assert bool(DNS_1035_LABEL.match(name)) is (fits and name != "1a"), "DNS-1035 wants a letter first"
