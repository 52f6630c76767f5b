"""A model as its configuration describes it: names, types and shapes, the batch before them, labels, warm-up."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from predictor.model import Model, Signature, TensorSpec
from predictor.runtimes import onnxports
from predictor.runtimes.triton.config import Config, Port, Sample, Warmup
from predictor.runtimes.triton.document import document
from predictor.runtimes.triton.fields import FILE, WARMUP
from torpor.errors import InvalidInputError, LoadError, ModelError, NotFoundError
from torpor.protocol.binary import read_raw
from torpor.protocol.tensors import DATATYPES, Tensor

if TYPE_CHECKING:
    from predictor.batching.options import Batching
    from predictor.batching.sequencing import Sequencing

PLATFORMS = {
    "ensemble": "ensemble",
    "onnxruntime": "onnxruntime_onnx",
    "python": "python",
    "pytorch": "pytorch_libtorch",
}
_INDEX = re.compile(r".*__([0-9]+)")
"""How Triton's PyTorch backend is told which argument, or which of the answers, a tensor is."""


class Described(ABC):
    """What of a model its configuration says, and what holds for any backend."""

    def __init__(self, config: Config, folder: Path) -> None:
        """`folder` is the model's. Raises NotFoundError for a file that the configuration names."""
        self.config = config
        self.labels: Mapping[str, Sequence[str]] = labels(config, folder)
        self._warmups = [made_up(each, folder, has_batch=bool(config.max_batch)) for each in config.warmups]
        self.signature = Signature(
            PLATFORMS[config.backend],
            tuple(self._spec(each) for each in config.inputs),
            tuple(self._spec(each) for each in config.outputs),
        )
        self._optional = {each.name for each in config.inputs if each.is_optional}
        self._inside = (*config.inputs, *_hidden_inputs(config))
        self._given = (*config.outputs, *_hidden_outputs(config))
        specs = [self._spec(each) for each in self._inside]
        self._ports = tuple(onnxports.Port(each.name, each.datatype, each.shape) for each in specs)

    @property
    def keeps_answers(self) -> bool:
        return self.config.keeps_answers and self.config.sequencing is None

    @property
    def sequencing(self) -> Sequencing | None:
        return self.config.sequencing

    @property
    def batching(self) -> Batching | None:
        return self.config.batching

    @property
    def configuration(self) -> Mapping[str, Any]:
        """What clients that ask for it are told, as Triton writes it."""
        backend = self.config.backend
        return document(self.config.message) | {"platform": PLATFORMS[backend], "backend": backend}

    @abstractmethod
    def infer(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """As `Model` has it."""

    def predict(self, instances: Sequence[Any]) -> Sequence[Any]:
        """Answer by V1: an instance is a row of the batch."""
        if not self.config.max_batch:
            raise InvalidInputError("instances", f"{len(instances)} instances", "this model has no batch; use V2")
        if not instances:
            return []
        found = self.infer(onnxports.from_instances(self._ports, instances))
        return onnxports.to_predictions({each.name: each.array for each in found}, len(instances))

    def warm(self) -> None:
        for each, inputs in zip(self.config.warmups, self._warmups, strict=True):
            for _ in range(each.count):
                try:
                    self.infer(inputs)
                except (InvalidInputError, ModelError) as error:
                    raise LoadError("warm", f"{FILE}: model_warmup {each.name!r}: {error}") from error

    @abstractmethod
    def close(self) -> None:
        """Give memory and files back."""

    def _spec(self, port: Port) -> TensorSpec:
        return TensorSpec(port.name, port.datatype, ((-1,) if self.config.max_batch else ()) + port.dims)

    def _checked(self, inputs: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return the inputs by name, in the model's own shapes; raises InvalidInputError naming what does not fit."""
        given = {each.name: each for each in inputs}
        wanted = [each for each in self._ports if each.name in given or each.name not in self._optional]
        found = onnxports.fitting(wanted, inputs)
        most, rows = self.config.max_batch, {each.shape[0] for each in inputs if each.shape}
        if most:
            if len(rows) > 1:
                shapes = ", ".join(f"{each.name} {list(each.shape)}" for each in inputs)
                raise InvalidInputError("inputs", shapes, "the first axis counts the rows, as many in each input")
            if max(rows) > most:
                name = inputs[0].name
                raise InvalidInputError(f"{name}.shape", list(inputs[0].shape), f"this model takes {most} rows at most")
        return {port.name: self._reshaped(port, found[port.name]) for port in self._inside if port.name in found}

    def _reshaped(self, port: Port, tensor: Tensor) -> Tensor:
        if port.reshape is None:
            return tensor
        rows = tensor.shape[:1] if self.config.max_batch else ()
        return Tensor(port.name, tensor.array.reshape(rows + port.reshape))

    def _answered(self, port: Port, array: Any) -> Tensor:
        """Return an output in the shape that the configuration says; raises ModelError where it does not fit."""
        rows = array.shape[:1] if self.config.max_batch else ()
        if port.reshape is not None:
            try:
                array = array.reshape(rows + port.dims)
            except ValueError as error:
                raise ModelError(
                    f"output {port.name!r} has shape {list(array.shape)}, not {list(port.dims)}"
                ) from error
        tensor = Tensor(port.name, array)
        own = tensor.shape[len(rows) :]
        fits = len(own) == len(port.dims) and all(
            dim in {-1, length} for dim, length in zip(port.dims, own, strict=True)
        )
        if tensor.datatype != port.datatype or not fits:
            raise ModelError(
                f"output {port.name!r} is {tensor.datatype} {list(tensor.shape)},"
                f" and {FILE} says {port.datatype} {list(port.dims)}"
            )
        return tensor


class TritonModel(Described):
    """One whose framework we serve by itself: what it takes and gives is named and shaped as the configuration says."""

    def __init__(self, config: Config, folder: Path, inner: Model) -> None:
        """`folder` is the model's. Raises LoadError where the configuration names what the model has not."""
        super().__init__(config, folder)
        self._inner = inner
        inside = inner.signature
        self._inputs = dict(_paired("input", self._inside, [each.name for each in inside.inputs], config.backend))
        self._outputs = dict(_paired("output", self._given, [each.name for each in inside.outputs], config.backend))

    def infer(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        given = self._checked(inputs)
        found = self._inner.infer([Tensor(self._inputs[name], each.array) for name, each in given.items()])
        by_name = {each.name: each for each in found}
        answers = []
        for index, port in enumerate(self._given):
            inner = self._outputs.get(port.name)
            array = by_name[inner].array if inner in by_name else _numbered(found, port.name, index)
            answers.append(self._answered(port, array))
        return answers

    def warm(self) -> None:
        if self.config.warmups:
            super().warm()
        else:
            self._inner.warm()

    def close(self) -> None:
        self._inner.close()


def _hidden_inputs(config: Config) -> list[Port]:
    """Return what a stateful model takes that no client sends."""
    if config.sequencing is None:
        return []
    controls = [Port(each.name, each.datatype, (1,)) for each in config.sequencing.controls]
    return controls + [Port(each.input, each.datatype, (-1,) * len(each.dims)) for each in config.sequencing.states]


def _hidden_outputs(config: Config) -> list[Port]:
    states = () if config.sequencing is None else config.sequencing.states
    return [Port(each.output, each.datatype, (-1,) * len(each.dims)) for each in states]


def labels(config: Config, folder: Path) -> dict[str, Sequence[str]]:
    """Return the names of classes by output, from the files beside the configuration: one a line."""
    found: dict[str, Sequence[str]] = {}
    for index, port in enumerate(config.outputs):
        if port.labels:
            path = folder / port.labels
            if not path.is_file():
                raise NotFoundError(f"{FILE}: output[{index}].label_filename: there is no {port.labels}")
            found[port.name] = path.read_text("utf-8", errors="replace").splitlines()
    return found


def _paired(what: str, ports: Sequence[Port], known: Sequence[str], backend: str) -> Sequence[tuple[str, str]]:
    """Return (name in the configuration, name inside): the same, or of PyTorch's by number."""
    pairs = []
    for port in ports:
        if port.name in known:
            pairs.append((port.name, port.name))
            continue
        numbered = _INDEX.fullmatch(port.name) if backend == "pytorch" else None
        if numbered is not None and int(numbered[1]) < len(known):
            pairs.append((port.name, known[int(numbered[1])]))
        elif known or what == "input":
            names = ", ".join(known) or "none"
            raise LoadError("open", f"{FILE}: {what} {port.name!r}: the model has {names}")
    return pairs


def _numbered(found: Sequence[Tensor], name: str, index: int) -> Any:
    """Return an answer of a model that does not name its answers: by the number in its name, else by its place."""
    numbered = _INDEX.fullmatch(name)
    place = int(numbered[1]) if numbered else index
    if place >= len(found):
        raise ModelError(f"the model gave {len(found)} outputs, and {name!r} is not among them")
    return found[place].array


def made_up(warmup: Warmup, folder: Path, *, has_batch: bool) -> list[Tensor]:
    """Return the inputs of a warm-up; raises NotFoundError, and InvalidInputError for a file of another length."""
    made = []
    for name, sample in warmup.inputs.items():
        array = _sample(f"{FILE}: model_warmup {warmup.name!r}: {name}", sample, folder)
        if has_batch:
            array = np.broadcast_to(array, (max(1, warmup.batch), *array.shape)).copy()
        made.append(Tensor(name, array))
    return made


def _sample(path: str, sample: Sample, folder: Path) -> Any:
    if sample.file:
        file = folder / WARMUP / sample.file
        if not file.is_file():
            raise NotFoundError(f"{path}: there is no {WARMUP}/{sample.file}")
        return read_raw(path, sample.datatype, sample.shape, file.read_bytes())
    if sample.datatype == "BYTES":
        return np.full(sample.shape, b"", np.object_)
    if sample.is_random:
        return np.random.default_rng(0).integers(0, 2, sample.shape).astype(DATATYPES[sample.datatype])
    return np.zeros(sample.shape, DATATYPES[sample.datatype])
