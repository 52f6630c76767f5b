"""Which objects a selector fits."""

from __future__ import annotations

import pytest

from torpor.local.apiserver.selectors import Selector, parse_fields, parse_labels
from torpor.local.apiserver.status import ApiError

LABELS = {"app": "web", "tier": "front", "example.com/a": "b", "empty": ""}


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        pytest.param("", True, id="nothing asked"),
        pytest.param("app=web", True, id="equal"),
        pytest.param("app==web", True, id="equal, twice"),
        pytest.param("app=db", False, id="another value"),
        pytest.param("app!=db", True, id="not equal"),
        pytest.param("app!=web", False, id="not equal to what it is"),
        pytest.param("other!=x", True, id="without the label it is not equal"),
        pytest.param("app", True, id="there"),
        pytest.param("other", False, id="not there"),
        pytest.param("!other", True, id="absent"),
        pytest.param("! app", False, id="not absent"),
        pytest.param("app in (web, db)", True, id="one of"),
        pytest.param("app in (db)", False, id="none of"),
        pytest.param("app notin (db,x)", True, id="not one of"),
        pytest.param("other notin (db)", True, id="without the label it is in no set"),
        pytest.param("other in (db)", False, id="without the label it is not in a set"),
        pytest.param("app=web,tier=front", True, id="both"),
        pytest.param("app=web, tier=back", False, id="one of two fails"),
        pytest.param("app in (web),!other,tier", True, id="three kinds"),
        pytest.param("example.com/a=b", True, id="with a prefix"),
        pytest.param("empty=", True, id="an empty value"),
        pytest.param("app=", False, id="not an empty value"),
        pytest.param("empty in (,x)", True, id="an empty value in a set"),
        pytest.param("in=in", False, id="a label called in"),
    ],
)
def test_labels(text: str, *, fits: bool) -> None:
    """As `kubectl -l` has it."""
    assert Selector(labels=parse_labels(text)).matches(LABELS, {}) is fits


@pytest.mark.parametrize(
    "text", ["a=b c", "a in b", "a in (b", "=b", "a,,b", "a=b,", "a>1", "a in ()x", "ä=b", "a=b;c=d", "(a)", "!"]
)
def test_label_selectors_that_are_none(text: str) -> None:
    """400, with what was not understood."""
    with pytest.raises(ApiError, match="unable to parse requirement") as caught:
        parse_labels(text)
    assert caught.value.code == 400


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        pytest.param("", True, id="nothing asked"),
        pytest.param("status.phase=Running", True, id="equal"),
        pytest.param("status.phase!=Running", False, id="not equal"),
        pytest.param("status.phase==Running,metadata.name=a", True, id="both"),
        pytest.param("metadata.name=b", False, id="another"),
        pytest.param("spec.nodeName=", True, id="what is not set is empty"),
    ],
)
def test_fields(text: str, *, fits: bool) -> None:
    """As `kubectl --field-selector` has it."""
    fields = {"status.phase": "Running", "metadata.name": "a", "spec.nodeName": ""}
    assert Selector(fields=parse_fields(text, fields)).matches({}, fields) is fits


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("spec.x=1", "field label not supported: spec.x", id="a field that is not offered"),
        pytest.param("status.phase", "can't understand 'status.phase'", id="no operator"),
        pytest.param("status.phase in (a)", "can't understand", id="a set"),
    ],
)
def test_field_selectors_that_are_none(text: str, says: str) -> None:
    """400, with the field."""
    with pytest.raises(ApiError, match=says):
        parse_fields(text, {"status.phase": ""})
