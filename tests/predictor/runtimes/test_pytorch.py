"""PyTorch models of all kinds: answers are the module's own, and what does not fit is refused before it sees it."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import orjson
import pytest

from predictor.model import Model, TensorSpec
from predictor.runtimes import cpus
from predictor.runtimes.pytorch import PyTorch
from tests.predictor.runtimes.modules import net, save_state, write
from tests.predictor.runtimes.opening import opened
from torpor.errors import ForbiddenError, InvalidInputError, LoadError, ModelError, NotFoundError, TorporError
from torpor.protocol.tensors import DATATYPES, Tensor

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")]

ROWS = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)


@pytest.fixture(scope="module", autouse=True)
def imported() -> None:
    """A quick suite, which has none of these tests, does not pay for the import."""
    global torch  # noqa: PLW0603
    import torch


def right(module: Any, *given: Any) -> Any:
    with torch.inference_mode():
        return module(*[torch.tensor(each) for each in given])


def scripted(folder: Path, module: Any, description: str = "") -> Path:
    torch.jit.script(module).save(folder / "model.pt")
    return write(folder, description, source="")


def exported(folder: Path, module: Any, *example: Any, **options: Any) -> Path:
    torch.export.save(torch.export.export(module, example, **options), folder / "model.pt2")
    return folder


ROWS_ALONE = (
    "inputs: [{name: rows, datatype: FP32, shape: [-1, 4]}]\noutputs: [{name: scores, datatype: FP32, shape: [-1, 3]}]"
)


def as_state(folder: Path) -> Path:
    return save_state(write(folder), net())


def as_checkpoint(folder: Path) -> Path:
    torch.save({"state_dict": net().state_dict(), "epoch": 3}, folder / "model.pth")
    return write(folder)


def as_old_checkpoint(folder: Path) -> Path:
    torch.save(net().state_dict(), folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    return write(folder)


def as_script(folder: Path) -> Path:
    return scripted(folder, net(), ROWS_ALONE)


def as_trace(folder: Path) -> Path:
    torch.jit.trace(net(), torch.ones(2, 4)).save(folder / "traced.pt")
    return write(folder, ROWS_ALONE, source="")


def as_program(folder: Path) -> Path:
    batch = {"rows": {0: torch.export.Dim("n")}}
    return exported(folder, net(), torch.ones(2, 4), dynamic_shapes=batch)


@pytest.mark.parametrize("make", [as_state, as_checkpoint, as_old_checkpoint, as_script, as_trace, as_program])
def test_answers_are_the_modules_own(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    """By V2 and V1, whatever it was saved as."""
    model = opened(PyTorch(), make(tmp_path), allow_pickle="checkpoint" in make.__name__)
    model.warm()
    expected = right(net(), ROWS).numpy()
    (output,) = model.infer([Tensor("rows", ROWS)])
    np.testing.assert_allclose(output.array, expected, rtol=1e-6)
    np.testing.assert_allclose(model.predict(ROWS.tolist()), expected, rtol=1e-6)
    np.testing.assert_allclose(model.predict([{"rows": ROWS[0].tolist()}]), expected[:1], rtol=1e-6)
    assert model.predict([]) == []
    assert model.signature.inputs == (TensorSpec("rows", "FP32", (-1, 4)),)
    (said,) = model.signature.outputs
    assert (said.name, said.datatype, said.shape) == (output.name, "FP32", (-1, 3))
    with pytest.raises(InvalidInputError, match=r"rows.shape: \[5, 3\] .* shape \[-1, 4\]"):
        model.infer([Tensor("rows", ROWS[:, :3])])
    with pytest.raises(InvalidInputError, match=r"rows.datatype: 'FP64' .* is FP32"):
        model.infer([Tensor("rows", ROWS.astype(np.float64))])
    model.close()


@pytest.mark.parametrize("make", [as_checkpoint, as_old_checkpoint])
def test_a_pickle_is_refused_unless_its_place_is_trusted(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    """By what the file holds: its name is that of TorchScript too."""
    with pytest.raises(ForbiddenError, match=r"is a pickle.*safetensors.*torpor.dev/allow-pickle"):
        opened(PyTorch(), make(tmp_path))


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_code_in_a_checkpoint_is_never_run(tmp_path: Path) -> None:
    """Trusted or not: tensors alone are opened."""
    torch.save({"weights": Trap(tmp_path / "sprung")}, tmp_path / "model.pt")
    with pytest.raises(LoadError, match=r"model.pt holds more than tensors.*safetensors"):
        opened(PyTorch(), write(tmp_path), allow_pickle=True)
    assert not (tmp_path / "sprung").exists()


def rewritten(path: Path, changes: Callable[[str, bytes], bytes]) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {each: archive.read(each) for each in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, raw in members.items():
            archive.writestr(name, changes(name, raw))


def test_example_inputs_of_a_program_run_no_code(tmp_path: Path) -> None:
    """PyTorch's reader would unpickle them."""
    folder = as_program(tmp_path)
    torch.save(Trap(tmp_path / "sprung"), tmp_path / "trap")
    trap = (tmp_path / "trap").read_bytes()
    rewritten(folder / "model.pt2", lambda name, raw: trap if "sample_inputs" in name else raw)
    with pytest.raises(LoadError, match=r"model\.pt2"):
        opened(PyTorch(), folder)
    assert not (tmp_path / "sprung").exists()


def calling(target: str) -> Callable[[str, bytes], bytes]:
    return lambda _, raw: raw.replace(b"torch.ops.aten.linear.default", target.encode())


def picklish(name: str, raw: bytes) -> bytes:
    return raw.replace(b'"use_pickle": false', b'"use_pickle": true')


def opaque(name: str, raw: bytes) -> bytes:
    if not name.endswith("model_constants_config.json"):
        return raw
    place = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
    return orjson.dumps({"config": {"a": place}})


def expressing(_: str, raw: bytes) -> bytes:
    return raw.replace(b'"expr_str": "Symbol', b'"expr_str": "exec(chr(49)) + Symbol')


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(calling("torch.os.system"), r"calls 'torch.os.system'; operators", id="any-function-of-torch"),
        pytest.param(calling("_operator.attrgetter"), "calls '_operator.attrgetter'", id="what-gets-at-functions"),
        pytest.param(calling("torch.ops.aten.from_file.default"), "calls 'torch.ops.aten.from_file", id="a-file"),
        pytest.param(picklish, r"'weight_\d', which is not stored as a plain tensor", id="pickled-weights"),
        pytest.param(opaque, "'opaque_obj_0', which is not stored", id="a-pickled-object"),
        pytest.param(expressing, r"the expression .exec\(chr\(49\)\) \+ Symbol", id="an-expression-that-is-code"),
    ],
)
def test_programs_that_are_more_than_tensors_and_operators(
    tmp_path: Path, change: Callable[[str, bytes], bytes], says: str
) -> None:
    """Refused before PyTorch reads them."""
    folder = as_program(tmp_path)
    rewritten(folder / "model.pt2", change)
    with pytest.raises(LoadError, match=says):
        opened(PyTorch(), folder)


def test_several_inputs_and_outputs_have_the_names_of_the_module(tmp_path: Path) -> None:
    """Of `forward` and of the dict that it returns; a program says types and shapes too."""
    from tests.predictor.runtimes.several import Several

    shapes = {"rows": {0: torch.export.Dim("n")}, "factor": None}
    example = (torch.ones(2, 2), torch.ones(()))
    model = opened(PyTorch(), exported(tmp_path, Several(), *example, dynamic_shapes=shapes))
    model.warm()
    assert model.signature.inputs == (TensorSpec("rows", "FP32", (-1, 2)), TensorSpec("factor", "FP32", ()))
    assert model.signature.outputs == (TensorSpec("product", "FP32", (-1, 2)), TensorSpec("total", "FP32", ()))
    rows = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    outputs = model.infer([Tensor("factor", np.array(10, np.float32)), Tensor("rows", rows)])
    assert {each.name: each.array.tolist() for each in outputs} == {"product": (rows * 10).tolist(), "total": 21.0}
    with pytest.raises(ModelError, match=r"output 'total' has shape \[\] for 1 instances; use V2"):
        model.predict([{"rows": [1, 2], "factor": 3}])


def test_lengths_of_a_program_may_be_computed(tmp_path: Path) -> None:
    """Such expressions are arithmetic, and nothing that is refused."""
    from tests.predictor.runtimes.several import Twice

    model = opened(
        PyTorch(), exported(tmp_path, Twice(), torch.ones(8), dynamic_shapes={"x": {0: torch.export.Dim("n")}})
    )
    (output,) = model.infer([Tensor("x", np.arange(3, dtype=np.float32))])
    assert output.array.tolist() == [0, 1, 2, -0.0, -1, -2]
    assert model.signature.outputs == (TensorSpec("output-0", "FP32", (-1,)),)


def test_without_a_description_types_and_shapes_are_what_comes(tmp_path: Path) -> None:
    """By V1, FP32; what PyTorch cannot compute is the client's."""
    from tests.predictor.runtimes.several import Pair

    model = opened(PyTorch(), scripted(tmp_path, Pair()))
    model.warm()
    plus, minus = model.infer([Tensor("rows", np.array([1, 2], np.int64))])
    assert (plus.name, plus.datatype, plus.array.tolist()) == ("output-0", "INT64", [2, 3])
    assert (minus.name, minus.array.tolist()) == ("output-1", [-1, -2])
    assert model.predict([1.5]) == [{"output-0": 2.5, "output-1": -1.5}]
    with pytest.raises(InvalidInputError, match=r"inputs: 'x' .* takes rows"):
        model.infer([Tensor("x", ROWS)])
    with pytest.raises(InvalidInputError, match=r"rows.datatype: 'BYTES' .* numbers"):
        model.infer([Tensor("rows", np.array(["a"], object))])
    with pytest.raises(InvalidInputError, match=r"cannot compute it: .*[Nn]egative|cannot compute it: .*bool"):
        model.infer([Tensor("rows", np.array([True]))])


@pytest.mark.parametrize("datatype", [each for each in DATATYPES if each != "BYTES"])
def test_every_type_goes_in_and_comes_out(tmp_path: Path, datatype: str) -> None:
    """As it is: arrays with gaps, backwards, read-only, and empty ones."""
    model = identity(tmp_path)
    given = np.array([1, 0, 0, 1, 1]).astype(DATATYPES[datatype])
    locked = given.copy()
    locked.flags.writeable = False
    for array in (given, given[::2], given[::-1], locked, given[:0]):
        (same,) = model.infer([Tensor("x", array)])
        assert (same.datatype, same.shape) == (datatype, array.shape)
        np.testing.assert_array_equal(same.array, array)


def identity(folder: Path) -> Model:
    from tests.predictor.runtimes.several import Identity

    torch.jit.trace(Identity(), torch.ones(1)).save(folder / "model.pt")
    return opened(PyTorch(), folder)


@pytest.mark.parametrize("datatype", ["FP32", "BF16"])
def test_memory_is_shared_where_it_may_be_written_to(tmp_path: Path, datatype: str) -> None:
    """And copied where it may not: a model could change it."""
    model = identity(tmp_path)
    array = np.ones(3, DATATYPES[datatype])
    assert np.shares_memory(model.infer([Tensor("x", array)])[0].array, array)
    array.flags.writeable = False
    assert not np.shares_memory(model.infer([Tensor("x", array)])[0].array, array)


@pytest.mark.parametrize("dtype", ["BF16", "FP16"])
def test_a_narrower_type_is_computed_in_and_not_shown(tmp_path: Path, dtype: str) -> None:
    """Inputs and outputs stay as they are declared."""
    folder = as_state(tmp_path)
    with (folder / "model.yaml").open("a") as file:
        file.write(f"dtype: {dtype}\n")
    model = opened(PyTorch(), folder)
    model.warm()
    (output,) = model.infer([Tensor("rows", ROWS)])
    narrow = {"BF16": torch.bfloat16, "FP16": torch.float16}[dtype]
    expected = net().to(narrow)(torch.tensor(ROWS).to(narrow)).float().detach().numpy()
    assert output.datatype == "FP32"
    np.testing.assert_array_equal(output.array, expected)


def test_bf16_goes_in_and_comes_out(tmp_path: Path) -> None:
    """Where it is declared so."""
    narrow = save_state(write(tmp_path), net().to(torch.bfloat16))
    (narrow / "model.yaml").write_text((narrow / "model.yaml").read_text().replace("FP32", "BF16"))
    model = opened(PyTorch(), narrow)
    (output,) = model.infer([Tensor("rows", ROWS.astype(ml_dtypes.bfloat16))])
    assert (output.datatype, output.shape) == ("BF16", (5, 3))


def test_classes_have_names(tmp_path: Path) -> None:
    """For the classification extension."""
    model: Any = opened(PyTorch(), as_state(tmp_path))
    assert model.labels == {"scores": ("red", "green", "blue")}


def change_state(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], Path]:
    from safetensors.torch import save_file

    def make(folder: Path) -> Path:
        state = net().state_dict()
        change(state)
        save_file(dict(state), folder / "model.safetensors")
        return write(folder)

    return make


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(
            lambda state: state.pop("linear.bias"),
            "model.safetensors lacks 1 tensors: linear.bias that Net needs",
            id="missing",
        ),
        pytest.param(
            lambda state: state.update(more=torch.ones(1)),
            "model.safetensors has 1 tensors: more that Net does not know",
            id="unexpected",
        ),
        pytest.param(
            lambda state: state.update({"linear.bias": torch.ones(7)}),
            r"tensor 'linear.bias' has shape \[7\], and in Net \[3\]",
            id="of-another-shape",
        ),
    ],
)
def test_weights_that_are_not_the_classs(tmp_path: Path, change: Callable[[dict[str, Any]], object], says: str) -> None:
    """Named, tensor by tensor."""
    with pytest.raises(LoadError, match=says):
        opened(PyTorch(), change_state(change)(tmp_path))


TIED = """
    import torch

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.head = torch.nn.Embedding(5, 4), torch.nn.Linear(4, 5, bias=False)
            self.head.weight = self.embed.weight
            self.register_buffer("shift", torch.arange(5.0), persistent=False)
            self.factors = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])

        def forward(self, ids):
            return (self.head(self.embed(ids)) + self.shift) * self.factors
"""


def test_tied_weights_and_tensors_that_are_no_weights(tmp_path: Path) -> None:
    """A file has one of the tied, and none of the others."""
    from safetensors.torch import save_file

    weight = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    save_file({"embed.weight": weight}, tmp_path / "model.safetensors")
    model = opened(PyTorch(), write(tmp_path, "", TIED))
    (output,) = model.infer([Tensor("ids", np.array([3, 1]))])
    expected = (weight[[3, 1]] @ weight.T + torch.arange(5)) * torch.arange(1, 6)
    np.testing.assert_allclose(output.array, expected.numpy(), rtol=1e-5, atol=1e-6)


def test_weights_in_several_files(tmp_path: Path) -> None:
    """By the index that the Hub's tools write."""
    from safetensors.torch import save_file

    for number, (name, tensor) in enumerate(net().state_dict().items()):
        save_file({name: tensor}, tmp_path / f"model-0000{number}.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    model = opened(PyTorch(), write(tmp_path))
    np.testing.assert_allclose(model.predict(ROWS.tolist()), right(net(), ROWS).numpy(), rtol=1e-6)


FAILS = """
    import torch

    class Net(torch.nn.Module):
        def __init__(self, features=4, classes=3):
            super().__init__()
            self.linear = torch.nn.Linear(features, classes)

        def forward(self, rows):
            raise KeyError("secret")
"""


def test_what_forward_raises_is_for_the_log(tmp_path: Path) -> None:
    """The client is told its kind."""
    model = opened(PyTorch(), save_state(write(tmp_path, source=FAILS), net()))
    with pytest.raises(ModelError, match=r"forward raised KeyError; the pod's log says more") as found:
        model.infer([Tensor("rows", ROWS)])
    assert "secret" not in str(found.value)


@pytest.mark.parametrize(
    ("description", "says"),
    [
        pytest.param("class: Other", r"model.py has no `class Other`", id="another-class"),
        pytest.param("class: Net\narguments: {size: 3}", "TypeError.*size", id="an-argument-that-it-does-not-take"),
        pytest.param("class: Net\ninputs: [{name: scale, datatype: FP32, shape: []}]", "lack rows", id="no-rows"),
        pytest.param("class: Net\ndevice: cuda", "'cuda' is asked for and this pod sees no GPU", id="no-gpu"),
    ],
)
def test_descriptions_that_are_not_the_modules(tmp_path: Path, description: str, says: str) -> None:
    """Told when the model is opened."""
    if "cuda" in description and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(LoadError, match=says):
        opened(PyTorch(), save_state(write(tmp_path, description), net()))


@pytest.mark.parametrize(
    ("outputs", "says"),
    [
        pytest.param(
            "{name: scores, datatype: INT64, shape: [-1, 3]}", r"is FP32 \[5, 3\], and declared as INT64", id="type"
        ),
        pytest.param("{name: scores, datatype: FP32, shape: [-1, 2]}", r"is FP32 \[5, 3\], .* \[-1, 2\]", id="shape"),
        pytest.param(
            "{name: a, datatype: FP32, shape: []}, {name: b, datatype: FP32, shape: []}",
            "1 tensors.*2 outputs",
            id="two",
        ),
    ],
)  # fmt: skip
def test_outputs_that_are_not_as_declared(tmp_path: Path, outputs: str, says: str) -> None:
    """The model's fault."""
    model = opened(PyTorch(), save_state(write(tmp_path, f"class: Net\noutputs: [{outputs}]"), net()))
    with pytest.raises(ModelError, match=says):
        model.infer([Tensor("rows", ROWS)])


@pytest.mark.parametrize("make", [as_script, as_program, as_state], ids=["script", "program", "state"])
def test_damaged_files_are_refused(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    """Cut short anywhere, or with a byte changed: named, and nothing crashes."""
    folder = make(tmp_path)
    path = next(
        each for each in folder.iterdir() if each.name.startswith("model.") and each.suffix not in {".py", ".yaml"}
    )
    raw = path.read_bytes()
    for length in range(0, len(raw), len(raw) // 20):
        path.write_bytes(raw[:length])
        with pytest.raises(TorporError, match=path.name):
            opened(PyTorch(), folder)
    if path.suffix == ".safetensors":  # which has no checksums
        return
    refused = 0
    for place in range(0, len(raw), len(raw) // 20):
        path.write_bytes(raw[:place] + bytes([raw[place] ^ 0xFF]) + raw[place + 1 :])
        try:
            answer = opened(PyTorch(), folder).predict(ROWS.tolist())
        except TorporError as error:
            refused += path.name in str(error)
        else:  # it was a byte that only fills up
            np.testing.assert_allclose(answer, right(net(), ROWS).numpy(), rtol=1e-6)
    assert refused > 5


def test_it_computes_on_the_pods_cpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not on all that the machine has."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(cpus, "available", lambda: 1)
    before = torch.get_num_threads()
    try:
        opened(PyTorch(), as_state(tmp_path))
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_a_compiled_model_answers_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled when it is warmed up; of any number of rows."""
    import torch._inductor.config as inductor

    monkeypatch.setattr(inductor, "cpp_cache_precompile_headers", False)  # seconds, which one model does not earn back
    folder = as_state(tmp_path)
    with (folder / "model.yaml").open("a") as file:
        file.write("compile: true\n")
    model = opened(PyTorch(), folder)
    model.warm()
    for rows in (ROWS, ROWS[:2]):
        np.testing.assert_allclose(model.predict(rows.tolist()), right(net(), rows).numpy(), rtol=1e-4, atol=1e-6)


def test_a_pickle_by_another_name_is_none_of_torchs(tmp_path: Path) -> None:
    """A plain pickle called model.pt is refused as one."""
    (tmp_path / "model.pt").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ForbiddenError, match=r"model\.pt is a pickle"):
        opened(PyTorch(), write(tmp_path))


def test_weights_without_a_class(tmp_path: Path) -> None:
    """Say what is missing."""
    with pytest.raises(NotFoundError, match=r"model.safetensors holds weights alone, and there is no model.py"):
        opened(PyTorch(), save_state(tmp_path, net()))
