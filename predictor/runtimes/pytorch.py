"""PyTorch models: TorchScript, torch.export, and weights with a class in a model.py beside them."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from predictor.model import Model
from predictor.runtimes import cpus, pretrained, pytorchspec, safetensors
from predictor.runtimes.pytorchfile import Kind, kind
from predictor.runtimes.pytorchspec import DESCRIPTION, Description
from predictor.runtimes.runtime import Files, refuse_pickle
from predictor.runtimes.userclass import SCRIPT
from torpor.errors import InvalidInputError, LoadError, NotFoundError

if TYPE_CHECKING:  # the module itself imports torch
    from predictor.runtimes.pytorchmodel import Opened

EXPORTED = ".pt2"
SAFE = ".safetensors"
ARCHIVES = (".pt", ".pth", ".bin")
_BETTER = f"{SAFE} (safetensors.torch.save_file of model.state_dict())"
_preparing = threading.Lock()


@dataclass(frozen=True, slots=True)
class PyTorch:
    """Fits `Runtime`. `keeps_files`: the class may import files beside it as late as it likes."""

    requires: tuple[str, ...] = ("torch", "safetensors", "yaml")
    extra: str = "torch"
    keeps_files: bool = True

    def choose(self, names: Sequence[str], *, allow_pickle: bool) -> tuple[str, ...]:  # noqa: ARG002  # names tell not
        weights = _weights(names)
        beside = [each for each in names if each in {DESCRIPTION, pretrained.INDEX} or each.endswith(".py")]
        return (*weights, *beside)

    def prepare(self) -> None:
        with _preparing:
            import torch

            import predictor.runtimes.pytorchmodel  # noqa: F401

            if "OMP_NUM_THREADS" not in os.environ:
                torch.set_num_threads(cpus.available())

    def verify(self, files: Files) -> None:
        description(files)
        for name in _model_files(files):
            if name.endswith(SAFE):
                safetensors.check(files.path(name))
                continue
            found = kind(files.path(name))
            if (found is Kind.EXPORTED) != name.endswith(EXPORTED):
                raise InvalidInputError(name, found, f"files of torch.export, and no others, end with {EXPORTED}")
            if found is Kind.CHECKPOINT and not files.allow_pickle:
                raise refuse_pickle(name, _BETTER)
            if found is Kind.CHECKPOINT and SCRIPT not in files.names:
                raise _no_class(name)

    def open(self, files: Files) -> Model:
        self.prepare()
        from predictor.runtimes.pytorchmodel import TorchModel

        weights = _model_files(files)
        said = description(files)
        if weights[0].endswith(EXPORTED):
            return TorchModel(_exported(files, weights[0], said))
        if weights[0].endswith(SAFE) or kind(files.path(weights[0])) is Kind.CHECKPOINT:
            return TorchModel(_of_class(files, weights, said))
        return TorchModel(_script(files, weights[0], said))


def description(files: Files) -> Description:
    """Return what model.yaml says, where there is one."""
    return pytorchspec.read(files.path(DESCRIPTION)) if DESCRIPTION in files.names else Description()


def _weights(names: Sequence[str]) -> tuple[str, ...]:
    """Return the model's file, or the parts of its weights; raises where there is none, or where it is not clear."""
    top = sorted(each for each in names if "/" not in each)
    kinds = [(EXPORTED,), *([(SAFE,)] if SCRIPT in top else []), ARCHIVES]
    for suffixes in kinds:
        found = [each for each in top if PurePosixPath(each).suffix in suffixes]
        if not found:
            continue
        if suffixes == (SAFE,) and pretrained.INDEX in top:
            return tuple(found)
        ours = [each for each in found if PurePosixPath(each).stem == "model"] or found
        if len(ours) > 1:
            raise InvalidInputError("storageUri", ", ".join(ours), "one model is needed; name its file in the URI")
        return (ours[0],)
    if safe := [each for each in top if each.endswith(SAFE)]:
        raise _no_class(safe[0])
    if archived := _archived(names):
        raise NotFoundError(f"{archived} is for TorchServe, and of another format: set modelFormat.name to mar")
    raise NotFoundError(f"there is no file that ends with {', '.join((EXPORTED, SAFE, *ARCHIVES))}")


def _archived(names: Sequence[str]) -> str | None:
    """Return a file that the format `mar` would take: KServe's manifests for TorchServe say `pytorch`."""
    from predictor.runtimes.mar import store

    with contextlib.suppress(NotFoundError, InvalidInputError):
        return store.choose(names)[0]
    return None


def _model_files(files: Files) -> list[str]:
    return [each for each in files.names if PurePosixPath(each).suffix in {EXPORTED, SAFE, *ARCHIVES}]


def _no_class(name: str) -> NotFoundError:
    return NotFoundError(f"{name} holds weights alone, and there is no {SCRIPT} with the class that they are of")


def _exported(files: Files, name: str, said: Description) -> Opened:
    import torch

    from predictor.runtimes import pytorchexport
    from predictor.runtimes.pytorchmodel import Opened, device

    for field, given in (("dtype", said.dtype), ("inputs", said.inputs), ("outputs", said.outputs)):
        if given:
            raise LoadError("open", f"{DESCRIPTION}: {field}: a {EXPORTED} file says it itself; leave it out")
    call, outputs = pytorchexport.load(files.path(name))
    place = device(said.device)
    if place != "cpu":
        raise LoadError("open", f"{DESCRIPTION}: device: a {EXPORTED} file runs where it was exported for; use cpu")
    if said.compile:
        call = type(call)(torch.compile(call.module), call.inputs, call.by_name)
    return Opened("pytorch_export", call, outputs, compiled=said.compile)


def _script(files: Files, name: str, said: Description) -> Opened:
    import torch

    from predictor.runtimes.pytorchcall import call
    from predictor.runtimes.pytorchmodel import DTYPES, Opened, device, quietly

    if said.compile:
        raise LoadError("open", f"{DESCRIPTION}: compile: TorchScript is compiled by its own means; leave it out")
    place = device(said.device)
    try:
        module = quietly(torch.jit.load, str(files.path(name)), place)
    except Exception as error:  # its errors have no class in common
        raise LoadError("open", f"{name}: {str(error).strip().splitlines()[0]}") from error
    module.eval()
    dtype = DTYPES[said.dtype] if said.dtype else None
    if dtype is not None:
        module.to(dtype)
    return Opened("pytorch_libtorch", call(module, said.inputs), said.outputs, said.labels, place, dtype)


def _of_class(files: Files, weights: Sequence[str], said: Description) -> Opened:
    import torch

    from predictor.runtimes import pytorchstate
    from predictor.runtimes.pytorchcall import Call, call
    from predictor.runtimes.pytorchmodel import DTYPES, Opened, device

    place = device(said.device)
    dtype = DTYPES[said.dtype] if said.dtype else None
    module = pytorchstate.module(files.folder, weights, said).to(device=place, dtype=dtype)
    asked = call(module, said.inputs)
    if said.compile:
        asked = Call(torch.compile(module, dynamic=True), asked.inputs, asked.by_name)
    return Opened("pytorch_state-dict", asked, said.outputs, said.labels, place, dtype, said.compile)
