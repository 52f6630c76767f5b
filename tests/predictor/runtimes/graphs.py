"""ONNX graphs for tests, made by the library of ONNX itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

Value = tuple[str, int, Sequence[int | str] | None]
"""Name, type, shape."""


def save(
    folder: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    weights: Sequence[onnx.TensorProto] = (),
    **more: Any,
) -> Path:
    """Write model.onnx; returns the folder. `more`: functions, and `domains` beside the standard one."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(*each) for each in inputs],
        [helper.make_tensor_value_info(*each) for each in outputs],
        weights,
    )
    opsets = [helper.make_opsetid("", more.get("opset", 17)), helper.make_opsetid("ai.onnx.ml", 3)]
    opsets += [helper.make_opsetid(each, 1) for each in more.get("domains", ())]
    model = helper.make_model(graph, opset_imports=opsets, functions=more.get("functions", ()))
    model.ir_version = 8  # what releases of ONNX Runtime since 1.18 read
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "model.onnx")
    return folder


def linear(folder: Path) -> Path:
    """Four numbers to the probabilities of three classes."""
    dice = np.random.default_rng(0)
    weights = [
        onnx.numpy_helper.from_array(dice.normal(size=(4, 3)).astype(np.float32), "weights"),
        onnx.numpy_helper.from_array(dice.normal(size=3).astype(np.float32), "bias"),
    ]
    nodes = [
        helper.make_node("MatMul", ["rows", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["sum"]),
        helper.make_node("Softmax", ["sum"], ["probabilities"], axis=-1),
    ]
    return save(
        folder,
        nodes,
        [("rows", TensorProto.FLOAT, ["n", 4])],
        [("probabilities", TensorProto.FLOAT, ["n", 3])],
        weights,
    )


def external(folder: Path, location: str = "weights.data") -> Path:
    """As `linear`, its weights in a file of their own."""
    linear(folder)
    model = onnx.load(folder / "model.onnx")
    onnx.save_model(
        model,
        folder / "model.onnx",
        save_as_external_data=True,
        location=location,
        size_threshold=0,
        convert_attribute=True,
    )
    return folder


def moved(folder: Path, **entries: str) -> Path:
    """As `external`, and the file says otherwise where its weights are."""
    external(folder)
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            entry.value = entries.get(entry.key, entry.value)
    onnx.save(model, folder / "model.onnx")
    return folder
