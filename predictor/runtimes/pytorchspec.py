"""model.yaml: what a PyTorch model's file does not say. Which class, what goes in and comes out, where it computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from predictor.runtimes.onnxports import Port
from torpor.errors import InvalidInputError
from torpor.spec.fields import Fields

DESCRIPTION = "model.yaml"
MAX_BYTES = 1_000_000
DEVICES = ("auto", "cpu", "cuda")
DTYPES = ("BF16", "FP16", "FP32", "FP64")
_FIELDS = frozenset({"arguments", "class", "compile", "device", "dtype", "inputs", "outputs"})
_PORT_FIELDS = frozenset({"datatype", "labels", "name", "shape"})


@dataclass(frozen=True, slots=True)
class Description:
    """All of it has a default, so a model may come without."""

    class_name: str = "Model"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[Port, ...] = ()
    """Empty: those of `forward`, of any type and shape."""
    outputs: tuple[Port, ...] = ()
    """Empty: what `forward` returns."""
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of classes, by output."""
    device: str = "cpu"
    """auto: a GPU where there is one."""
    dtype: str = ""
    """What weights and inputs that are no integers are brought to; empty leaves them as they are."""
    compile: bool = False


def read(path: Path) -> Description:
    """Return what the file says; raises InvalidInputError that names file, field, value and what is allowed."""
    import yaml

    if path.stat().st_size > MAX_BYTES:
        raise InvalidInputError(DESCRIPTION, f"{path.stat().st_size} bytes", f"at most {MAX_BYTES} are read")
    try:
        raw = yaml.safe_load(path.read_bytes())
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise InvalidInputError(DESCRIPTION, " ".join(str(error).split()), "YAML is needed") from error
    if not isinstance(raw, dict) or not all(isinstance(each, str) for each in raw):
        raise InvalidInputError(DESCRIPTION, raw, f"an object with some of {', '.join(sorted(_FIELDS))} is needed")
    return _description(Fields(raw, DESCRIPTION))


def _description(fields: Fields) -> Description:
    _refuse_others(fields, _FIELDS)
    inputs, outputs = _ports(fields, "inputs"), _ports(fields, "outputs")
    return Description(
        class_name=fields.text("class", "Model"),
        arguments=dict(fields.object("arguments").raw),
        inputs=inputs,
        outputs=outputs,
        labels={each.text("name"): each.texts("labels") for each in fields.objects("outputs") if "labels" in each},
        device=_one_of(fields, "device", DEVICES, "cpu"),
        dtype=_one_of(fields, "dtype", DTYPES, ""),
        compile=fields.boolean("compile"),
    )


def _ports(fields: Fields, name: str) -> tuple[Port, ...]:
    found = [_port(each) for each in fields.objects(name)]
    names = [each.name for each in found]
    if len(set(names)) != len(names):
        raise InvalidInputError(fields.at(name), names, "each name may be there once")
    return tuple(found)


def _port(fields: Fields) -> Port:
    from torpor.protocol.tensors import DATATYPES

    _refuse_others(fields, _PORT_FIELDS)
    datatype = fields.required_text("datatype")
    if datatype not in DATATYPES or datatype == "BYTES":
        numbers = ", ".join(each for each in DATATYPES if each != "BYTES")
        raise fields.refuse("datatype", f"PyTorch's tensors are numbers: use one of {numbers}")
    shape = fields.raw.get("shape")
    if not isinstance(shape, list) or not all(type(each) is int and each >= -1 for each in shape):
        raise fields.refuse("shape", "a list of lengths is needed, where -1 is any")
    return Port(fields.required_text("name"), datatype, tuple(shape))


def _one_of(fields: Fields, name: str, allowed: tuple[str, ...], default: str) -> str:
    value = fields.text(name, default)
    if value not in {*allowed, default}:
        raise fields.refuse(name, f"use one of {', '.join(allowed)}")
    return value


def _refuse_others(fields: Fields, known: frozenset[str]) -> None:
    for name in fields.raw:
        if name not in known:
            raise fields.refuse(name, f"the fields are {', '.join(sorted(known))}")
