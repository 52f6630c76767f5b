"""Ensembles: which steps make a graph, and whether the models of the steps fit it."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.model import Signature, TensorSpec
from predictor.others import Described
from predictor.runtimes.triton.config import Config, read
from predictor.runtimes.triton.ensemble import Ensemble
from predictor.runtimes.triton.graph import Step, check
from torpor.errors import InvalidInputError, LoadError, NotFoundError
from torpor.protocol.tensors import Tensor

A_THEN_B = [Step("a", 0, {"i": "x"}, {"o": "t"}), Step("b", 0, {"i": "t"}, {"o": "y"})]


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(A_THEN_B, id="in order"),
        pytest.param(A_THEN_B[::-1], id="in any order"),
        pytest.param([Step("a", 0, {"i": "x", "j": "x"}, {"o": "y"})], id="a tensor twice"),
    ],
)
def test_graphs(steps: list[Step]) -> None:
    check(steps, ["x"], ["y"])


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        pytest.param([], "step: '0 steps'", id="no step"),
        pytest.param([Step("", 0, {"i": "x"}, {"o": "y"})], r"step\[0\].model_name", id="no model"),
        pytest.param([Step("a", 0, {}, {"o": "y"})], r"step\[0\].input_map: 'nothing'", id="no input"),
        pytest.param([Step("a", 0, {"i": "x"}, {})], r"step\[0\].output_map: 'nothing'", id="no output"),
        pytest.param([Step("a", 0, {"i": ""}, {"o": "y"})], r"input_map\[i\]: ''", id="no tensor"),
        pytest.param(
            [Step("a", 0, {"i": "z"}, {"o": "y"})],
            r"step\[0\].input_map\[i\]: 'z' is not allowed; no step makes it; use one of x, y",
            id="a tensor that nobody makes",
        ),
        pytest.param([Step("a", 0, {"i": "x"}, {"o": "t"})], r"output\[0\].name: 'y'", id="an output nobody makes"),
        pytest.param(
            [*A_THEN_B, Step("c", 0, {"i": "x"}, {"o": "t"})],
            r"step\[2\].output_map\[o\]: 't' .* it is made by step\[0\] already",
            id="made twice",
        ),
        pytest.param([Step("a", 0, {"i": "x"}, {"o": "x"})], "it is an input of the ensemble already", id="an input"),
        pytest.param(
            [Step("a", 0, {"i": "x", "j": "y"}, {"o": "t"}), Step("b", 0, {"i": "t"}, {"o": "y"})],
            r"step: 'step\[0\], step\[1\]' .* in a circle",
            id="a circle",
        ),
    ],
)
def test_what_is_no_graph(steps: list[Step], says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        check(steps, ["x"], ["y"])


_NAMES = st.dictionaries(st.sampled_from("io"), st.sampled_from("xytuv"), max_size=2)


@given(st.lists(st.builds(Step, st.just("m"), st.just(0), _NAMES, _NAMES), max_size=6))
def test_any_steps_are_a_graph_or_refused(steps: list[Step]) -> None:
    try:
        check(steps, ["x"], ["y"])
    except InvalidInputError:
        return
    made = [tensor for step in steps for tensor in step.outputs.values()]
    assert len(made) == len(set(made))
    assert "y" in made


class Fixed:
    """Fits `Neighbours`: models that are what they are said to be, and are not asked."""

    def __init__(self, **models: Described) -> None:
        self._models = models

    def described(self, name: str, version: str) -> Described:
        if name not in self._models:
            raise NotFoundError(f"model {name!r} is not here")
        return self._models[name]

    def wait(self, work: Any) -> Any:
        raise NotImplementedError

    def stream(
        self, name: str, version: str, inputs: Sequence[Tensor], parameters: Mapping[str, Any]
    ) -> Generator[Sequence[Tensor], None, None]:
        raise NotImplementedError


def model(inputs: Mapping[str, str], outputs: Mapping[str, str], **configuration: Any) -> Described:
    specs = [tuple(TensorSpec(name, kind, (-1,)) for name, kind in each.items()) for each in (inputs, outputs)]
    return Described(Signature("p", *specs), configuration)


def ensemble() -> Config:
    return read(
        """platform: "ensemble"
        input { name: "x" data_type: TYPE_FP32 dims: [ 1 ] } output { name: "y" data_type: TYPE_INT64 dims: [ 1 ] }
        ensemble_scheduling { step { model_name: "a" input_map { key: "i" value: "x" }
                                     output_map { key: "o" value: "y" } } }"""
    )


FITS = model({"i": "FP32"}, {"o": "INT64"})


@pytest.mark.parametrize(
    ("models", "says"),
    [
        pytest.param({}, r"step\[0\].model_name: model 'a' is not here", id="no such model"),
        pytest.param({"a": model({"j": "FP32"}, {"o": "INT64"})}, "input_map: 'i' .* the model has j", id="an input"),
        pytest.param({"a": model({"i": "FP32"}, {"p": "INT64"})}, "output_map: 'o' .* has p", id="an output"),
        pytest.param(
            {"a": model({"i": "INT8"}, {"o": "INT64"})}, "'x' .* it is FP32, and the model takes INT8", id="a type"
        ),
        pytest.param(
            {"a": model({"i": "FP32"}, {"o": "FP32"})},
            r"output\[0\].data_type: 'INT64' .* the step makes FP32",
            id="the type of an output",
        ),
        pytest.param(
            {"a": model({"i": "FP32", "j": "FP32"}, {"o": "INT64"})}, "the model needs 'j' too", id="one is missing"
        ),
        pytest.param(
            {"a": model({"i": "FP32"}, {"o": "INT64"}, model_transaction_policy={"decoupled": True})},
            "'a' is not allowed; it is decoupled",
            id="decoupled",
        ),
    ],
)
def test_models_that_do_not_fit(models: dict[str, Described], says: str) -> None:
    with pytest.raises(LoadError, match=says):
        Ensemble(ensemble(), Path(), Fixed(**models))


def test_models_that_fit() -> None:
    """An optional input need not be mapped."""
    Ensemble(ensemble(), Path(), Fixed(a=FITS))
    more = model({"i": "FP32", "j": "FP32"}, {"o": "INT64"}, input=[{"name": "j", "optional": True}])
    assert Ensemble(ensemble(), Path(), Fixed(a=more)).signature.platform == "ensemble"
