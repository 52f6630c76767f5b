"""In processes of its own a model answers as it does in the server's: random calls, one after the other."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from predictor.model import HandlerAnswer, HandlerError, HandlerRequest, Signature
from predictor.processes import asking
from predictor.processes.description import describe
from predictor.processes.messages import Message
from predictor.processes.model import model_of
from predictor.runtimes.python import PythonClass
from tests.predictor.processes.models import files, opened, save_ill
from tests.predictor.processes.test_messages import JSON, TENSORS, received, sent
from torpor.protocol import v1
from torpor.protocol.tensors import Tensor

NAMES = st.sampled_from(["a", "b", "c"])
INPUTS = st.lists(TENSORS, min_size=1, max_size=3, unique_by=lambda each: each.name)
PARAMETERS = st.dictionaries(NAMES | st.just("transposed"), st.booleans() | st.integers(0, 9) | st.text(), max_size=2)
ORDINARY = JSON.filter(lambda value: not isinstance(value, str | dict))
WRONG = st.sampled_from(["value", "unknown", "sys.exit", "short"])


class Both(NamedTuple):
    here: Any
    apart: Any

    def alike(self, call: Callable[[Any], Any]) -> None:
        assert outcome(call, self.here) == outcome(call, self.apart)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = save_ill(tmp_path_factory.mktemp("both"))
    here = PythonClass().open(files(folder))
    try:
        with opened(folder, count=2) as apart:
            yield Both(here, apart)
    finally:
        here.close()
        sys.modules.pop("model", None)


def outcome(call: Callable[[Any], Any], model: Any) -> Any:
    try:
        return plain(call(model))
    except Exception as error:
        return type(error).__name__, str(error)


def plain(value: Any) -> Any:
    """Return what `==` compares: of arrays all that there is to them."""
    if isinstance(value, Tensor):
        array = value.array
        elements = array.tolist() if array.dtype == object else array.tobytes()
        return value.name, str(array.dtype), array.shape, elements
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ORDINARY | WRONG, min_size=1, max_size=4), PARAMETERS)
def test_instances(both: Both, instances: list[Any], parameters: dict[str, Any]) -> None:
    both.alike(lambda model: v1.encode(model.predict_with(instances, parameters)))
    both.alike(lambda model: v1.encode(model.predict(instances)))
    both.alike(lambda model: v1.encode(model.explain(instances)))


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(INPUTS, PARAMETERS)
def test_tensors(both: Both, inputs: list[Tensor], parameters: dict[str, Any]) -> None:
    both.alike(lambda model: model.infer_with(inputs, parameters))
    both.alike(lambda model: list(model.stream(inputs, parameters)))


@pytest.mark.slow
def test_of_large_tensors_every_byte_comes_back(both: Both) -> None:
    array = np.random.default_rng(5).random((4, 1024, 1024), np.float32)
    texts = np.array([str(number) for number in range(100_000)], object)
    found = both.apart.infer([Tensor("a", array), Tensor("t", texts)])
    assert (found[0].array == array).all()
    assert (found[1].array == texts).all()


@pytest.mark.slow
def test_what_is_known_of_it(both: Both) -> None:
    assert describe(both.apart) == describe(both.here)


class Handler:
    """Takes whole requests; fits `Handles`, `HandlesInParts`, `SaysVersion`."""

    signature = Signature("test", (), ())
    version = "7"
    sends_parts = True

    def handle(self, requests: Any, *, explain: bool = False) -> Any:
        return [self.answer(each, explain=explain) for each in requests]

    def handle_in_parts(self, request: Any, *, explain: bool = False) -> Any:
        yield self.answer(request, explain=explain)
        yield HandlerAnswer(b"more", "")
        if "refused" in request.parts:
            raise HandlerError("refused", 413)

    @staticmethod
    def answer(request: Any, *, explain: bool) -> HandlerAnswer:
        return HandlerAnswer(repr((request, explain)).encode(), "text/plain", 201, (("X-A", "b"),))

    def predict(self, instances: Any) -> Any:
        return [math.nan for _ in instances]


class Through:
    """A pool that computes here what has gone through both codecs."""

    count = 1

    def call(self, message: Message, heard: Any) -> Any:
        return heard(received(sent(asking.compute(Handler(), received(sent(message))))))  # type: ignore[arg-type]

    def steps(self, message: Message, heard: Any) -> Any:
        for each in asking.steps(Handler(), received(sent(message))):  # type: ignore[arg-type]
            yield heard(received(sent(each)))


THROUGH: Any = model_of(Through(), describe(Handler()))  # type: ignore[arg-type]
REQUESTS = st.lists(
    st.builds(
        HandlerRequest,
        st.dictionaries(st.text(), JSON | st.binary() | st.builds(bytearray, st.binary()), max_size=3),
        st.dictionaries(st.text(), st.text(), max_size=2),
        st.text(),
    ),
    max_size=3,
)


@given(REQUESTS, st.booleans())
def test_whole_requests(requests: list[HandlerRequest], explain: bool) -> None:  # noqa: FBT001
    assert THROUGH.handle(requests, explain=explain) == Handler().handle(requests, explain=explain)


def test_answers_in_parts() -> None:
    request = HandlerRequest({"body": b"\xff\0"}, {}, "1")
    assert list(THROUGH.handle_in_parts(request)) == list(Handler().handle_in_parts(request))
    with pytest.raises(HandlerError, match="refused"):
        list(THROUGH.handle_in_parts(HandlerRequest({"refused": 1}, {}, "1")))


def test_it_has_the_abilities_that_it_has_there_and_no_others() -> None:
    found = describe(THROUGH)
    assert found == describe(Handler())  # type: ignore[arg-type]
    assert (found.handles, found.sends_parts, found.version, found.takes_parameters) == (True, True, "7", False)


def test_nan_is_null_as_it_is_for_clients() -> None:
    assert v1.encode(THROUGH.predict([1])) == v1.encode(Handler().predict([1]))
