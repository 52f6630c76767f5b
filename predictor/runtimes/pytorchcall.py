"""How a PyTorch module is called: which tensors its `forward` takes, and what names its answers have."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from predictor.runtimes.onnxports import Port
from torpor.errors import LoadError, ModelError


@dataclass(frozen=True, slots=True)
class Forward:
    """What `forward` takes."""

    names: tuple[str, ...]
    required: tuple[str, ...]
    variadic: bool
    """Whether it takes any number of further ones."""


@dataclass(frozen=True, slots=True)
class Call:
    """A module, and how it is asked."""

    module: Any
    inputs: tuple[Port, ...]
    """Where the type is empty, any is taken."""
    by_name: bool

    def __call__(self, tensors: Mapping[str, torch.Tensor]) -> Any:
        if self.by_name:
            return self.module(**tensors)
        return self.module(*[tensors[each.name] for each in self.inputs])


def forward_of(module: Any) -> Forward:
    """Read the signature, which TorchScript keeps in the file."""
    if isinstance(module, torch.jit.ScriptModule):
        forward: Any = module.forward
        arguments = forward.schema.arguments[1:]
        names = tuple(each.name for each in arguments)
        return Forward(names, tuple(each.name for each in arguments if not each.has_default_value()), variadic=False)
    found = inspect.signature(module.forward).parameters.values()
    named = [each for each in found if each.kind in {each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY}]
    required = tuple(each.name for each in named if each.default is each.empty)
    variadic = any(each.kind in {each.VAR_POSITIONAL, each.VAR_KEYWORD} for each in found)
    return Forward(tuple(each.name for each in named), required, variadic)


def call(module: Any, declared: Sequence[Port]) -> Call:
    """Return how the module is asked for what is declared; raises LoadError where `forward` takes something else."""
    forward = forward_of(module)
    if not declared:
        if not forward.required:
            raise LoadError("open", "forward names no tensors that it needs; declare `inputs` in model.yaml")
        return Call(module, tuple(Port(each, "", None) for each in forward.required), by_name=True)
    names = [each.name for each in declared]
    takes = ", ".join(forward.names)
    if set(names) <= set(forward.names):
        missing = [each for each in forward.required if each not in names]
        if missing:
            raise LoadError("open", f"model.yaml: inputs lack {', '.join(missing)}; forward takes {takes}")
        return Call(module, tuple(declared), by_name=True)
    few, many = len(names) < len(forward.required), len(names) > len(forward.names) and not forward.variadic
    if few or many:
        raise LoadError("open", f"model.yaml: inputs are {', '.join(names)}; forward takes {takes}")
    return Call(module, tuple(declared), by_name=False)


def named(found: Any, declared: Sequence[Port]) -> dict[str, torch.Tensor]:
    """Return what a module gave, by name; raises ModelError where it is not what is declared, or no tensors."""
    tensors = _named(found, declared)
    for name, each in tensors.items():
        if not isinstance(each, torch.Tensor):
            raise ModelError(f"output {name!r} is {type(each).__name__}; a model must give tensors")
    if not declared:
        return tensors
    missing = [each.name for each in declared if each.name not in tensors]
    if missing:
        raise ModelError(f"the model gives {', '.join(tensors)}, and not {', '.join(missing)} of model.yaml")
    return {each.name: tensors[each.name] for each in declared}


def _named(found: Any, declared: Sequence[Port]) -> dict[str, Any]:
    if isinstance(found, Mapping):
        return {str(name): each for name, each in found.items()}
    several = list(found) if isinstance(found, list | tuple) else [found]
    if declared:
        if len(several) != len(declared):
            raise ModelError(f"the model gives {len(several)} tensors; model.yaml declares {len(declared)} outputs")
        return dict(zip([each.name for each in declared], several, strict=True))
    names = getattr(found, "_fields", None) or [f"output-{index}" for index in range(len(several))]
    return dict(zip(names, several, strict=True))
