"""Models as a Triton repository has them, made by their own libraries."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper

from predictor.model import Model
from predictor.runtimes.runtime import Files
from predictor.runtimes.triton.runtime import Triton


def onnx_model(path: Path) -> None:
    """`y` is `x` times two, of any number of rows of four."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in "xy")
    two = helper.make_tensor("two", TensorProto.FLOAT, [1], np.array([2], np.float32))
    graph = helper.make_graph([helper.make_node("Mul", ["x", "two"], ["y"])], "g", [x], [y], [two])
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


class _Sums(torch.nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return a + b, a - b


def torchscript(path: Path) -> None:
    """The sum and the difference of two tensors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.jit.script(_Sums()).save(str(path))


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    return folder


def opened(folder: Path) -> Model:
    """Open what is there as a pod does."""
    runtime = Triton()
    names = [str(each.relative_to(folder)) for each in sorted(folder.rglob("*")) if each.is_file()]
    files = Files(folder, runtime.choose(names, allow_pickle=False))
    runtime.verify(files)
    model = runtime.open(files)
    model.warm()
    return model
