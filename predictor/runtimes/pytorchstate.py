"""A class of the user's own with weights from a file: built without memory, then given the weights as they lie."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch

from predictor.runtimes.python import import_script, run_code
from predictor.runtimes.pytorchspec import Description
from predictor.runtimes.userclass import SCRIPT
from torpor.errors import LoadError

log = logging.getLogger(__name__)

_SAFE = ".safetensors"
_WRAPPERS = ("state_dict", "model_state_dict")
"""Where training scripts put the weights beside the optimizer's state."""


def module(folder: Path, weights: Sequence[str], description: Description) -> torch.nn.Module:
    """Return the module with its weights; raises LoadError naming what is missing, unknown, or misshapen."""
    state = _read(folder, weights)
    with _importable(folder):
        kind = run_code(lambda: getattr(import_script(folder / SCRIPT), description.class_name, None))
        if not (isinstance(kind, type) and issubclass(kind, torch.nn.Module)):
            raise LoadError("open", f"{SCRIPT} has no `class {description.class_name}` that is a torch.nn.Module")
        built = _built(lambda: kind(**description.arguments))
    _assign(built, state, f"{', '.join(weights[:2])}{', …' if len(weights) > 2 else ''}", description.class_name)
    return built.eval()


def _read(folder: Path, weights: Sequence[str]) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = {}
    for name in weights:
        path = folder / name
        if path.suffix == _SAFE:
            from safetensors.torch import load_file

            state |= load_file(path)
        else:
            state |= _unpickled(path)
    return state


def _unpickled(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a checkpoint. What is more than tensors is not opened, whatever was allowed."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # its errors have no class in common
        raise LoadError(
            "open",
            f"{path.name} holds more than tensors, or is broken, and such pickles are not opened; save "
            f"model.state_dict() by safetensors.torch.save_file ({str(error).splitlines()[0]})",
        ) from error
    for key in _WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not all(isinstance(each, torch.Tensor) for each in found.values()):
        raise LoadError("open", f"{path.name} is no state dict: a map from names to tensors is needed")
    return dict(found)


def _built(make: Callable[[], torch.nn.Module]) -> torch.nn.Module:
    """Return the module, its parameters without memory where its class can be built so.

    A class may compute while it is built, or keep tensors that are no part of its state: those need to be real.
    """
    try:
        with torch.device("meta"):
            built = make()
        if not any(each.is_meta for each in _stateless(built)):
            return built
    except Exception:
        log.info("the class cannot be built without memory, so it is built with", exc_info=True)
    real: torch.nn.Module = run_code(make)
    return real


def _stateless(built: torch.nn.Module) -> Iterator[torch.Tensor]:
    """Give the tensors of a module that its state dict does not have."""
    kept = built.state_dict(keep_vars=True)
    ids = {id(each) for each in kept.values()}
    for each in built.modules():
        values = [*vars(each).values(), *each.buffers(recurse=False)]
        yield from (value for value in values if isinstance(value, torch.Tensor) and id(value) not in ids)


def _assign(built: torch.nn.Module, state: dict[str, torch.Tensor], where: str, name: str) -> None:
    wanted = built.state_dict(keep_vars=True)
    _repeat_tied(wanted, state)
    missing, unexpected = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
    if missing:
        raise LoadError("open", f"{where} lacks {_few(missing)} that {name} needs")
    if unexpected:
        raise LoadError("open", f"{where} has {_few(unexpected)} that {name} does not know")
    for key, tensor in state.items():
        if tensor.shape != wanted[key].shape:
            shapes = f"shape {list(tensor.shape)}, and in {name} {list(wanted[key].shape)}"
            raise LoadError("open", f"{where}: tensor {key!r} has {shapes}")
    try:
        built.load_state_dict(state, strict=True, assign=True)
    except Exception as error:  # a class may have its own way
        raise LoadError("open", f"{where}: {' '.join(str(error).split())}") from error


def _repeat_tied(wanted: Mapping[str, torch.Tensor], state: dict[str, torch.Tensor]) -> None:
    """Give a tensor that a module has under two names both of them: safetensors keeps it under one."""
    names: dict[int, list[str]] = {}
    for name, each in wanted.items():
        names.setdefault(id(each), []).append(name)
    for tied in names.values():
        found = next((each for each in tied if each in state), None)
        if found is not None:
            state |= {each: state[found] for each in tied if each not in state}


def _few(names: Sequence[str]) -> str:
    return f"{len(names)} tensors: {', '.join(names[:3])}{', …' if len(names) > 3 else ''}"


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let the class import files beside it, as any script may."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(folder))
