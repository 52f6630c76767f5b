"""What is raised in a process is raised in the server."""

from __future__ import annotations

import pytest

from predictor.model import HandlerError
from predictor.processes.errors import ForeignError, raised, told
from predictor.processes.messages import GarbledError, Message
from tests.predictor.processes.test_messages import received, sent
from torpor import errors
from torpor.web.status import answer


def over(error: Exception) -> Exception:
    return raised(received(sent(told(error))))


class OwnError(errors.UnavailableError):
    """A model's own, which the server does not know."""


@pytest.mark.parametrize(
    "error",
    [
        errors.InvalidInputError("instances[0]", [1, {"a": None}], "use numbers"),
        errors.InvalidInputError("inputs", object(), "use numbers"),
        errors.InvalidInputError("x", "long " * 1000, "use less"),
        errors.ModelError("it did not answer rightly"),
        errors.LoadError("warm", "no memory", retryable=True),
        errors.UnavailableError("later").after(7.5),
        errors.OverLimitError("too often"),
        errors.NotFoundError("no such"),
        HandlerError("Prediction failed", 507),
        OwnError("mine"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_our_errors_come_over_as_they_are(error: Exception) -> None:
    found = over(error)
    assert isinstance(found, type(error).__mro__[1] if isinstance(error, OwnError) else type(error))
    assert answer(found) == answer(error)
    for name in ("field", "allowed", "stage", "retryable", "status", "retry_after_s"):
        assert getattr(found, name, None) == getattr(error, name, None)


def test_a_value_that_is_json_comes_over() -> None:
    found = over(errors.InvalidInputError("a", {"b": [1, 2.5]}, "c"))
    assert isinstance(found, errors.InvalidInputError)
    assert found.value == {"b": [1, 2.5]}


def test_others_are_foreign_and_tell_clients_nothing() -> None:
    found = over(ZeroDivisionError("secret"))
    assert isinstance(found, ForeignError)
    assert str(found) == "ZeroDivisionError: secret"
    assert "secret" not in answer(found).message
    assert answer(found).status == 500


@pytest.mark.parametrize(
    "value", [None, {}, {"kind": "SystemExit", "message": "", "said": {}}, {"kind": "", "message": 1}]
)
def test_what_is_no_error_is_garbled(value: object) -> None:
    with pytest.raises(GarbledError):
        raised(Message("error", value))
