"""ONNX models: answers are ONNX Runtime's own, and what does not fit is refused before it sees it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from predictor.model import TensorSpec
from predictor.runtimes import cpus
from predictor.runtimes.onnx import Onnx
from predictor.runtimes.onnxports import DATATYPES
from tests.predictor.runtimes import graphs
from tests.predictor.runtimes.opening import opened, survived
from torpor.errors import InvalidInputError, LoadError, ModelError, NotFoundError, TorporError
from torpor.protocol.tensors import DATATYPES as V2
from torpor.protocol.tensors import Tensor

pytestmark = pytest.mark.slow

FLOAT, INT64, STRING, BF16 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING, TensorProto.BFLOAT16
ROWS = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)


def test_answers_are_those_of_the_standards_own_evaluator(tmp_path: Path) -> None:
    """By V2 and V1; the names, types and shapes are the graph's."""
    model = opened(Onnx(), graphs.linear(tmp_path))
    model.warm()
    (right,) = ReferenceEvaluator(str(tmp_path / "model.onnx")).run(None, {"rows": ROWS})
    (output,) = model.infer([Tensor("rows", ROWS)])
    assert (output.name, output.datatype) == ("probabilities", "FP32")
    np.testing.assert_allclose(output.array, right, rtol=1e-5)
    assert model.predict(ROWS.tolist()) == output.array.tolist()
    assert model.predict([{"rows": ROWS[0].tolist()}]) == output.array[:1].tolist()
    assert model.signature.platform == "onnxruntime_onnx"
    assert model.signature.inputs == (TensorSpec("rows", "FP32", (-1, 4)),)
    assert model.signature.outputs == (TensorSpec("probabilities", "FP32", (-1, 3)),)


def test_of_no_rows_nothing(tmp_path: Path) -> None:
    """By V2 in the shape that an answer has."""
    model = opened(Onnx(), graphs.linear(tmp_path))
    assert model.predict([]) == []
    assert model.infer([Tensor("rows", ROWS[:0])])[0].shape == (0, 3)


@pytest.mark.parametrize("kind", [each for each in DATATYPES if DATATYPES[each] != "BYTES"])
def test_every_type_goes_in_and_comes_out(tmp_path: Path, kind: str) -> None:
    """As it is, an array with gaps too, and with no elements."""
    dtype = V2[DATATYPES[kind]]
    element = helper.np_dtype_to_tensor_dtype(dtype)
    nodes = [helper.make_node("Identity", ["x"], ["y"]), helper.make_node("Shape", ["x"], ["shape"])]
    outputs = [("y", element, ["n"]), ("shape", INT64, [1])]
    model = opened(Onnx(), graphs.save(tmp_path, nodes, [("x", element, ["n"])], outputs))
    model.warm()
    assert model.signature.inputs == (TensorSpec("x", DATATYPES[kind], (-1,)),)
    given = np.array([1, 0, 0, 1, 1]).astype(dtype)
    for array in (given, given[::2], given[:0]):
        same, shape = model.infer([Tensor("x", array)])
        assert (same.datatype, shape.array.tolist()) == (DATATYPES[kind], [len(array)])
        np.testing.assert_array_equal(same.array, array)


def test_bf16_is_what_it_is_for(tmp_path: Path) -> None:
    """ONNX Runtime computes in it; by V1 its numbers are numbers."""
    nodes = [helper.make_node("Cast", ["x"], ["y"], to=BF16), helper.make_node("Cast", ["z"], ["w"], to=FLOAT)]
    inputs, outputs = [("x", FLOAT, ["n"]), ("z", BF16, ["n"])], [("y", BF16, ["n"]), ("w", FLOAT, ["n"])]
    model = opened(Onnx(), graphs.save(tmp_path, nodes, inputs, outputs))
    given = [Tensor("x", np.array([1.001, 3e38], np.float32)), Tensor("z", np.array([0.1, 2], ml_dtypes.bfloat16))]
    narrow, wide = model.infer(given)
    assert narrow.array.tolist() == np.array([1.001, 3e38]).astype(ml_dtypes.bfloat16).tolist()
    assert wide.array.tolist() == [float(ml_dtypes.bfloat16(0.1)), 2.0]
    assert model.predict([{"x": 1.5, "z": 2}]) == [{"y": 1.5, "w": 2.0}]


def test_texts_go_in_and_come_out(tmp_path: Path) -> None:
    """As str or as bytes; bytes that are no text are refused."""
    known = {"keys_strings": ["cat", "über"], "values_int64s": [4, 7]}
    nodes = [
        helper.make_node("LabelEncoder", ["word"], ["number"], domain="ai.onnx.ml", default_int64=-1, **known),
        helper.make_node("Identity", ["word"], ["same"]),
    ]
    outputs = [("number", INT64, ["n", 1]), ("same", STRING, ["n", 1])]
    model = opened(Onnx(), graphs.save(tmp_path, nodes, [("word", STRING, ["n", 1])], outputs))
    model.warm()
    number, same = model.infer([Tensor("word", np.array([["über"], [b"cat"], ["dog"]], np.object_))])
    assert (number.array.tolist(), same.datatype) == ([[7], [4], [-1]], "BYTES")
    assert same.array.tolist() == [["über"], ["cat"], ["dog"]]
    assert model.predict([["cat"]]) == [{"number": [4], "same": ["cat"]}]
    with pytest.raises(InvalidInputError, match=r"word\.data: b'\\xff' .* UTF-8"):
        model.infer([Tensor("word", np.array([[b"\xff"]], np.object_))])


def several(folder: Path) -> Path:
    """Two inputs, one of them one number for all; three outputs."""
    nodes = [
        helper.make_node("Mul", ["rows", "factor"], ["product"]),
        helper.make_node("Neg", ["rows"], ["negative"]),
        helper.make_node("ReduceSum", ["rows"], ["total"], keepdims=0),
    ]
    inputs = [("rows", FLOAT, ["n", 2]), ("factor", FLOAT, [])]
    outputs = [("product", FLOAT, ["n", 2]), ("negative", FLOAT, ["n", 2]), ("total", FLOAT, [])]
    return graphs.save(folder, nodes, inputs, outputs)


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    """In any order; a number without axes is shape []."""
    model = opened(Onnx(), several(tmp_path))
    model.warm()
    rows = np.array([[1, 2], [3, 4]], np.float32)
    outputs = model.infer([Tensor("factor", np.array(10, np.float32)), Tensor("rows", rows)])
    assert {each.name: each.array.tolist() for each in outputs} == {
        "product": [[10.0, 20.0], [30.0, 40.0]],
        "negative": [[-1.0, -2.0], [-3.0, -4.0]],
        "total": 10.0,
    }
    assert [each.shape for each in model.signature.inputs] == [(-1, 2), ()]


def test_by_v1_each_output_needs_a_value_for_each_instance(tmp_path: Path) -> None:
    """A sum over all is none; V2 has it."""
    model = opened(Onnx(), several(tmp_path))
    with pytest.raises(ModelError, match=r"output 'total' has shape \[\] for 1 instances; use V2"):
        model.predict([{"rows": [1, 2], "factor": 3}])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        pytest.param({"factor": None}, "inputs: 'rows' .* factor is missing; .* rows, factor", id="one-missing"),
        pytest.param({"x": ROWS}, "inputs: 'x' .* takes rows, factor", id="an-unknown-name"),
        pytest.param({"rows": ROWS[:, :2].astype(np.float64)}, "rows.datatype: 'FP64' .* is FP32", id="another-type"),
        pytest.param({"rows": ROWS[0, :2]}, r"rows.shape: \[2\] .* shape \[-1, 2\]", id="a-dimension-too-few"),
        pytest.param({"rows": ROWS}, r"rows.shape: \[5, 4\] .* shape \[-1, 2\]", id="a-length-that-is-fixed"),
        pytest.param({"factor": np.ones(1, np.float32)}, r"factor.shape: \[1\] .* shape \[\]", id="an-axis-too-many"),
    ],
)
def test_tensors_that_do_not_fit(tmp_path: Path, given: Mapping[str, Any], says: str) -> None:
    """Field, value, and what is allowed."""
    asked = {"rows": ROWS[:, :2], "factor": np.array(1, np.float32), **given}
    model = opened(Onnx(), several(tmp_path))
    with pytest.raises(InvalidInputError, match=says):
        model.infer([Tensor(name, array) for name, array in asked.items() if array is not None])


@pytest.mark.parametrize(
    ("instances", "says"),
    [
        pytest.param([[1, 2]], r"instances\[0\]: \[1, 2\] .* an object with rows, factor", id="no-object"),
        pytest.param([{"rows": [1, 2]}], r"instances\[0\]: \['rows'\] .* rows, factor", id="one-missing"),
        pytest.param([{"rows": [1, 2], "factor": 1, "x": 1}], r"instances\[0\]: .*'x'", id="one-too-many"),
        pytest.param(
            [{"rows": [1, 2], "factor": 1}, {"rows": [1, 2], "factor": 2}], "factor: .* one value", id="two-factors"
        ),
        pytest.param([{"rows": [1, "b"], "factor": 1}], r"rows\[0\]\[1\]: 'b' .* FP32 takes numbers", id="a-text"),
        pytest.param([{"rows": [1, 2, 3], "factor": 1}], r"rows.shape: \[1, 3\] .* \[-1, 2\]", id="three-columns"),
        pytest.param(
            [{"rows": [1, 2], "factor": 1}, {"rows": [1], "factor": 1}], r"rows: .* nested", id="rows-of-two-lengths"
        ),
    ],
)
def test_instances_that_do_not_fit(tmp_path: Path, instances: list[Any], says: str) -> None:
    """By position and name."""
    with pytest.raises(InvalidInputError, match=says):
        opened(Onnx(), several(tmp_path)).predict(instances)


def test_a_batch_of_fixed_length_is_said_so(tmp_path: Path) -> None:
    """Many are exported for one instance at a time."""
    nodes = [helper.make_node("Neg", ["x"], ["y"])]
    model = opened(Onnx(), graphs.save(tmp_path, nodes, [("x", FLOAT, [1, 2])], [("y", FLOAT, [1, 2])]))
    assert model.predict([[1, 2]]) == [[-1.0, -2.0]]
    with pytest.raises(InvalidInputError, match=r"instances: '2 instances' .* x has length 1"):
        model.predict([[1, 2], [3, 4]])


def test_what_only_the_model_knows_is_the_inputs_fault(tmp_path: Path) -> None:
    """An index out of range; too much memory is not; and warming up, which cannot know it, is no failure."""
    inputs = [("x", FLOAT, ["n"]), ("i", INT64, ["m"])]
    nodes = [helper.make_node("Gather", ["x", "i"], ["y"])]
    model = opened(Onnx(), graphs.save(tmp_path / "a", nodes, inputs, [("y", FLOAT, ["m"])]))
    with pytest.raises(InvalidInputError, match=r"inputs: 'x \[1\], i \[1\]' .* Gather .*out of data bounds, idx=9"):
        model.infer([Tensor("x", ROWS[0, :1]), Tensor("i", np.array([9]))])
    nodes = [helper.make_node("ConstantOfShape", ["shape"], ["y"])]
    model = opened(Onnx(), graphs.save(tmp_path / "b", nodes, [("shape", INT64, ["k"])], [("y", FLOAT, None)]))
    with pytest.raises(ModelError, match="memory"):
        model.infer([Tensor("shape", np.array([2**20, 2**20, 2**10]))])
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["y"])]
    shape = [helper.make_tensor("shape", INT64, [2], [7, 3])]
    model = opened(Onnx(), graphs.save(tmp_path / "c", nodes, [("x", FLOAT, ["n"])], [("y", FLOAT, [7, 3])], shape))
    model.warm()
    assert model.infer([Tensor("x", np.zeros(21, np.float32))])[0].shape == (7, 3)


def test_an_input_of_any_rank_takes_any(tmp_path: Path) -> None:
    """The file says no shape at all; one without axes says that."""
    nodes = [helper.make_node("Neg", ["x"], ["y"])]
    model = opened(Onnx(), graphs.save(tmp_path, nodes, [("x", FLOAT, None)], [("y", FLOAT, None)]))
    for shape in ((), (2,), (1, 2, 3)):
        assert model.infer([Tensor("x", np.zeros(shape, np.float32))])[0].shape == shape


def test_it_has_the_pods_cpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And computes there, where this ONNX Runtime knows no GPU."""
    monkeypatch.setattr(cpus, "available", lambda: 3)
    model: Any = opened(Onnx(), graphs.linear(tmp_path))
    assert model._session.get_session_options().intra_op_num_threads == 3
    assert "CUDAExecutionProvider" in onnxruntime.get_available_providers() or model._session.get_providers() == [
        "CPUExecutionProvider"
    ]


# --- files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        pytest.param(["any.onnx", "README.md", "config.json"], ["any.onnx"], id="one"),
        pytest.param(["model.onnx", "small.onnx", "small.onnx.data"], ["model.onnx"], id="not-anothers-weights"),
        pytest.param(
            ["model.onnx", "model.onnx_data", "w/0.bin", "layer.1.weight"],
            ["model.onnx", "model.onnx_data", "w/0.bin", "layer.1.weight"],
            id="whatever-may-be-weights",
        ),
        pytest.param(["model.onnx", ".git/x", "custom.so", "a.pkl", "deep/b.onnx"], ["model.onnx"], id="nothing-else"),
    ],
)
def test_which_files_it_needs(names: list[str], chosen: list[str]) -> None:
    """Only the file itself, once it is here, says which of them hold its weights."""
    assert list(Onnx().choose(names, allow_pickle=False)) == chosen


def test_none_or_several_files() -> None:
    """The message says what is wanted."""
    with pytest.raises(NotFoundError, match=r"ends with \.onnx"):
        Onnx().choose(["a.txt"], allow_pickle=False)
    with pytest.raises(InvalidInputError, match=r"a\.onnx, b\.onnx"):
        Onnx().choose(["a.onnx", "b.onnx"], allow_pickle=False)


@pytest.mark.parametrize("location", ["weights.data", "parts/weights.bin", "model.onnx_data"])
def test_weights_in_a_file_of_their_own(tmp_path: Path, location: str) -> None:
    """Wherever in the folder; the model goes on without the files once it is open."""
    (tmp_path / location).parent.mkdir(exist_ok=True)
    whole = opened(Onnx(), graphs.linear(tmp_path / "whole")).infer([Tensor("rows", ROWS)])[0].array
    (tmp_path / "whole/model.onnx").unlink()
    model = opened(Onnx(), graphs.external(tmp_path, location))
    (tmp_path / location).unlink()
    np.testing.assert_array_equal(model.infer([Tensor("rows", ROWS)])[0].array, whole)


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        pytest.param({"location": "../secret"}, "'../secret', which is no file of the model's own", id="upwards"),
        pytest.param({"location": "a/../../secret"}, "no file of the model's own", id="upwards-by-a-detour"),
        pytest.param({"location": "/etc/hostname"}, "no file of the model's own", id="absolute"),
        pytest.param({"location": "..\\secret"}, "no file of the model's own", id="as-windows-has-it"),
        pytest.param({"location": ""}, "no file of the model's own", id="empty"),
        pytest.param({"location": "link"}, "'link', which is a link out of", id="a-link-out"),
        pytest.param({"location": "absent"}, "'absent', and that file is not there", id="absent"),
        pytest.param({"offset": "4096"}, "up to byte 4.*it has .*truncated", id="beyond-its-end"),
        pytest.param({"offset": "-1"}, "'-1', which is no number", id="before-its-beginning"),
    ],
)
def test_weights_elsewhere_are_refused(tmp_path: Path, entries: dict[str, str], says: str) -> None:
    """Whoever writes a model does not say which files of the machine are read."""
    (tmp_path / "secret").write_bytes(b"\0" * 8192)
    folder = graphs.moved(tmp_path / "model", **entries)
    (folder / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(TorporError, match=rf"model\.onnx.*{says}"):
        opened(Onnx(), folder)


def test_operators_of_ones_own_are_named(tmp_path: Path) -> None:
    """Libraries of such are not loaded; those that the file defines by others are no such."""
    nodes = [helper.make_node("Twice", ["x"], ["y"], domain="mine")]
    inputs, outputs = [("x", FLOAT, ["n"])], [("y", FLOAT, ["n"])]
    with pytest.raises(LoadError, match=r"model\.onnx needs operators .* not loaded: mine::Twice"):
        opened(Onnx(), graphs.save(tmp_path / "a", nodes, inputs, outputs, domains=["mine"]))
    twice = helper.make_function(
        "mine", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 17)]
    )
    folder = graphs.save(tmp_path / "b", nodes, inputs, outputs, domains=["mine"], functions=[twice])
    assert opened(Onnx(), folder).infer([Tensor("x", ROWS[0])])[0].array.tolist() == (ROWS[0] * 2).tolist()


@pytest.mark.parametrize(
    ("node", "type_", "says"),
    [
        pytest.param("NoSuchThing", FLOAT, "No Op registered for NoSuchThing", id="no-such-operator"),
        pytest.param("Identity", TensorProto.FLOAT8E4M3FN, r"is tensor\(float8e4m3fn\)", id="a-type-that-v2-lacks"),
    ],
)
def test_what_onnx_runtime_or_v2_does_not_have(tmp_path: Path, node: str, type_: int, says: str) -> None:
    """In its words, without paths of ours."""
    graphs.save(
        tmp_path, [helper.make_node(node, ["x"], ["y"])], [("x", type_, ["n"])], [("y", type_, ["n"])], opset=19
    )
    with pytest.raises(LoadError, match=says) as caught:
        opened(Onnx(), tmp_path)
    assert str(tmp_path) not in str(caught.value)


def test_an_output_that_is_no_tensor(tmp_path: Path) -> None:
    """What scikit-learn's converter writes unless it is told otherwise."""
    nodes = [helper.make_node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", classlabels_int64s=[0, 1])]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", FLOAT, ["n", 2])],
        [
            helper.make_value_info(
                "y",
                helper.make_sequence_type_proto(
                    helper.make_map_type_proto(INT64, helper.make_tensor_type_proto(FLOAT, []))
                ),
            )
        ],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(LoadError, match=r"output 'y' is seq\(map.*zipmap=False"):
        opened(Onnx(), tmp_path)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        pytest.param(b"", r"model\.onnx is empty", id="nothing"),
        pytest.param(b"\x08\x07", "it has no graph", id="no-graph"),
        pytest.param(b"version https://git-lfs.github.com/spec/v1", "truncated or corrupt", id="a-pointer-of-gits"),
        pytest.param(b"\x3a\xff\xff\x03\x08", "begins 65535 bytes", id="cut-short"),
    ],
)
def test_files_that_are_no_models(tmp_path: Path, raw: bytes, says: str) -> None:
    """Named, with what is wrong."""
    (tmp_path / "model.onnx").write_bytes(raw)
    with pytest.raises(TorporError, match=says):
        opened(Onnx(), tmp_path)


def test_damaged_files_end_nothing(tmp_path: Path) -> None:
    """Of hundreds, most are refused, and the others open: what they changed is a number."""
    found = survived("onnx", graphs.linear(tmp_path) / "model.onnx", 400)
    assert found["refused"] > 150
    assert found["opened"] > 0
