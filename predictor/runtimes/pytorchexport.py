"""Programs of torch.export (.pt2): checked to be tensors and operators before PyTorch reads them, then opened.

PyTorch's own reader unpickles parts of such a file, evaluates its expressions, and calls whatever function of the
`torch` package its graph names, `torch.os.system` for one. So only what a plain model needs is let through.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import torch

from predictor.runtimes.onnxports import Port
from predictor.runtimes.pytorchcall import Call
from predictor.runtimes.pytorchmodel import TYPES, quietly
from torpor.errors import LoadError

_OPERATORS = re.compile(
    r"torch\.ops\.(aten|prims|higher_order|quantized_decomposed|torchvision)\.\w+(\.\w+)?"
    r"|_operator\.(add|sub|mul|floordiv|truediv|mod|neg|pos|pow|getitem|ge|gt|le|lt|eq|ne|and_|or_|not_)"
    r"|math\.(ceil|floor|trunc|sqrt)|torch\.sym_\w+|torch\._sym_sqrt"
)
_READS_FILES = "torch.ops.aten.from_file"
_NAMES = frozenset(
    {"Abs", "Add", "And", "CeilDiv", "CeilToInt", "CleanDiv"}
    | {"Eq", "Equality", "False", "FloatTrueDiv", "FloorDiv", "FloorToInt"}
    | {"Ge", "GreaterThan", "Gt", "IntTrueDiv", "Integer", "Le", "LessThan", "Lt"}
    | {"Max", "Min", "Mod", "ModularIndexing", "Mul", "Ne", "Not", "Or", "Pow", "PowByNatural", "PythonMod"}
    | {
        "Rational",
        "RoundToInt",
        "StrictGreaterThan",
        "StrictLessThan",
        "ToFloat",
        "True",
        "TruncToInt",
        "Unequality",
        "Where",
    }
    | {"int_oo", "oo"}
)
_NAME = re.compile(r"[A-Za-z_]\w*")
_SYMBOL = re.compile(r"[a-z]{1,8}\d+")
_QUOTED = re.compile(r"Symbol\('([a-z]{1,8}\d+)'(?:, [a-z]+=(?:True|False))*\)")
_EXPRESSION = re.compile(r"(?:[\w\s+\-*/%(),<>=&|~!]|(?<=\d)\.(?=\d))*")
_loading = threading.Lock()


def load(path: Path) -> tuple[Call, tuple[Port, ...]]:
    """Return how the program is asked, and its outputs; raises LoadError for what is not served."""
    _check(path)
    with _nothing_unpickled():
        try:
            program = quietly(torch.export.load, path)
            module = program.module()
        except Exception as error:  # its errors have no class in common
            raise LoadError("open", f"{path.name}: {type(error).__name__}: {' '.join(str(error).split())}") from error
    shown = {each.name: each.meta.get("val") for each in program.graph.nodes}
    positional, keywords = program.call_spec.in_spec.children()
    names = list(program.graph_signature.user_inputs)
    if positional.num_leaves and keywords.num_leaves:
        raise LoadError("open", f"{path.name}: some of its inputs go by name and some do not; export it with one kind")
    if any(not child.is_leaf() for child in [*positional.children(), *keywords.children()]):
        raise LoadError("open", f"{path.name}: its inputs are nested; a program with tensors as inputs is served")
    by_name = bool(keywords.num_leaves)
    if by_name:
        names = list(keywords.context)
    given = list(program.graph_signature.user_inputs)
    inputs = tuple(_port(path, "input", name, shown.get(at)) for name, at in zip(names, given, strict=True))
    outputs = _outputs(path, program, shown)
    return Call(module, inputs, by_name), outputs


def _outputs(path: Path, program: Any, shown: Mapping[str, Any]) -> tuple[Port, ...]:
    spec = program.call_spec.out_spec
    given = list(program.graph_signature.user_outputs)
    if spec.num_leaves != len(given) or any(not each.is_leaf() for each in spec.children()):
        raise LoadError("open", f"{path.name}: its outputs are nested; a tensor, a list or a dict of them is served")
    names = list(spec.context) if spec.type is dict else [f"output-{index}" for index in range(len(given))]
    return tuple(_port(path, "output", str(name), shown.get(str(at))) for name, at in zip(names, given, strict=True))


def _port(path: Path, what: str, name: str, shown: Any) -> Port:
    if not isinstance(shown, torch.Tensor) or shown.dtype not in TYPES:
        raise LoadError("open", f"{path.name}: {what} {name!r} is no tensor that V2 has")
    return Port(name, TYPES[shown.dtype], tuple(each if isinstance(each, int) else -1 for each in shown.shape))


def _check(path: Path) -> None:
    """Raise LoadError unless the archive holds tensors and operators alone. Read by what will read it for good."""
    try:
        reader = torch._C.PyTorchFileReader(str(path))  # noqa: SLF001  # another reader could see another file
        names = set(reader.get_all_records())
        if "archive_format" not in names:
            raise LoadError("open", f"{path.name} is of a release before PyTorch 2.8; export it anew")
        documents = {each: orjson.loads(reader.get_record(each)) for each in names if each.endswith(".json")}
    except (RuntimeError, orjson.JSONDecodeError) as error:
        raise LoadError("open", f"{path.name} is corrupt: {str(error).splitlines()[0]}") from error
    for each in sorted(names):
        if each.startswith("data/aotinductor/"):
            raise LoadError("open", f"{path.name} holds {each}: compiled programs are not run; use torch.export.save")
        if each.endswith(".pt") and each.startswith(("data/weights/", "data/constants/")):
            raise LoadError("open", f"{path.name} holds {each}, a pickle; export it by PyTorch 2.9 or later")
    if "models/model.json" not in names:
        raise LoadError("open", f"{path.name} holds no program called `model`")
    for name, document in documents.items():
        for found in _objects(document):
            _check_object(f"{path.name}: {name}", found)


def _check_object(where: str, found: Mapping[str, Any]) -> None:
    """Look at one object of the JSON: a node of a graph, a tensor's place, an expression, or something harmless."""
    target = found.get("target")
    is_node = isinstance(target, str) and {"inputs", "outputs"} <= found.keys()
    if is_node and (not _OPERATORS.fullmatch(str(target)) or str(target).startswith(_READS_FILES)):
        raise LoadError("open", f"{where} calls {target!r}; operators of PyTorch's own are served")
    place = found.get("path_name")
    if found.get("use_pickle") or (isinstance(place, str) and not place.startswith(("weight_", "tensor_"))):
        raise LoadError("open", f"{where} has {place!r}, which is not stored as a plain tensor; such are not opened")
    expressions = [found.get("expr_str"), *(found.get("range_constraints") or {})]
    for each in expressions:
        if each is not None and not _is_arithmetic(each):
            raise LoadError("open", f"{where} has the expression {each!r}; arithmetic of lengths is served")


def _is_arithmetic(expression: object) -> bool:
    """Say whether an expression, which is evaluated as Python, has lengths, numbers and sums of these, and no more."""
    if not isinstance(expression, str):
        return False
    plain = _QUOTED.sub(r"\1", expression)
    names = [each for each in _NAME.findall(plain) if not _SYMBOL.fullmatch(each)]
    return _EXPRESSION.fullmatch(plain) is not None and _NAMES.issuperset(names)


def _objects(document: Any) -> Iterator[Mapping[str, Any]]:
    """Give all objects of a JSON document, those in other objects too."""
    left = [document]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            yield each
            left.extend(each.values())
        elif isinstance(each, list):
            left.extend(each)


@contextlib.contextmanager
def _nothing_unpickled() -> Iterator[None]:
    """Have torch.load open tensors and nothing else, whatever its callers say: example inputs come by it."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    with _loading:
        before = os.environ.get(name)
        os.environ[name] = "1"
        try:
            yield
        finally:
            if before is None:
                del os.environ[name]
            else:
                os.environ[name] = before
