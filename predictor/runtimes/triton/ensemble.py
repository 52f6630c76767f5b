"""An ensemble: models of the same pod, asked one after the other and at once, tensors handed on as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from predictor.model import TensorSpec
from predictor.others import Ask, Described, Neighbours
from predictor.runtimes.triton import model
from predictor.runtimes.triton.config import Config
from predictor.runtimes.triton.fields import FILE
from predictor.runtimes.triton.graph import Step, ready
from torpor.errors import InvalidInputError, LoadError, ModelError, NotFoundError, UnavailableError
from torpor.protocol.tensors import Tensor


class Ensemble(model.Described):
    """Fits `Model`, `TakesParameters` and `AsksOthers`."""

    asks_others = True

    def __init__(self, config: Config, folder: Path, neighbours: Neighbours) -> None:
        """Raises LoadError where the models of its steps are not there, or not as the ensemble says."""
        super().__init__(config, folder)
        self._neighbours = neighbours
        kinds = {each.name: each.datatype for each in config.inputs}
        found = [_described(index, step, neighbours) for index, step in enumerate(config.steps)]
        for index, (step, described) in enumerate(zip(config.steps, found, strict=True)):
            for name, spec in _mapped(index, "output", step.outputs, described.signature.outputs):
                kinds[step.outputs[name]] = spec.datatype
        for index, (step, described) in enumerate(zip(config.steps, found, strict=True)):
            _check_inputs(index, step, described, kinds)
        for index, port in enumerate(config.outputs):
            if kinds[port.name] != port.datatype:
                raise _refused(f"output[{index}].data_type", port.datatype, f"the step makes {kinds[port.name]}")

    def close(self) -> None:
        """Nothing: the models that it asks are their own."""

    def infer(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        return self.infer_with(inputs, {})

    def infer_with(self, inputs: Sequence[Tensor], parameters: Mapping[str, Any]) -> Sequence[Tensor]:
        given = self._checked(inputs)
        found = self._neighbours.wait(partial(self._executed, given, parameters))
        missing = [each.name for each in self.config.outputs if each.name not in found]
        if missing:
            raise ModelError(f"no step gave the ensemble's output {missing[0]!r}")
        return [self._answered(each, found[each.name].array) for each in self.config.outputs]

    def predict_with(self, instances: Sequence[Any], parameters: Mapping[str, Any]) -> Sequence[Any]:
        """Answer by V1, which knows no parameters of Triton's."""
        del parameters
        return self.predict(instances)

    async def _executed(
        self, given: Mapping[str, Tensor], parameters: Mapping[str, Any], ask: Ask
    ) -> dict[str, Tensor]:
        """Return all tensors; each step begins when what it needs is there."""
        steps = self.config.steps
        tensors = dict(given)
        absent = self._optional - given.keys()  # no step waits for it
        waiting, running = set(range(len(steps))), dict[asyncio.Future[dict[str, Tensor]], int]()
        try:
            while waiting or running:
                for index in ready(steps, waiting, tensors.keys() | absent):
                    waiting.remove(index)
                    running[asyncio.ensure_future(_asked(steps[index], tensors, parameters, ask))] = index
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for each in done:
                    index = running.pop(each)
                    made = each.result()
                    tensors |= made
                    absent |= set(steps[index].outputs.values()) - made.keys()
        finally:
            for each in running:
                each.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        return tensors


async def _asked(
    step: Step, tensors: Mapping[str, Tensor], parameters: Mapping[str, Any], ask: Ask
) -> dict[str, Tensor]:
    """Return what a step makes, by the ensemble's names; an error says which model it was."""
    inputs = [Tensor(name, tensors[each].array) for name, each in step.inputs.items() if each in tensors]
    try:
        found = await ask(step.model, str(step.version or ""), inputs, parameters)
    except InvalidInputError as error:
        raise InvalidInputError(f"model {step.model!r}: {error.field}", error.value, error.allowed) from error
    except ModelError as error:
        raise ModelError(f"model {step.model!r}: {error}") from error
    return {step.outputs[each.name]: each for each in found if each.name in step.outputs}


def _described(index: int, step: Step, neighbours: Neighbours) -> Described:
    try:
        found = neighbours.described(step.model, str(step.version or ""))
    except (NotFoundError, LoadError, UnavailableError) as error:
        raise LoadError("open", f"{FILE}: ensemble_scheduling.step[{index}].model_name: {error}") from error
    if found.configuration.get("model_transaction_policy", {}).get("decoupled"):
        raise _refused(f"ensemble_scheduling.step[{index}].model_name", step.model, "it is decoupled")
    return found


def _mapped(
    index: int, what: str, tensors: Mapping[str, str], specs: Sequence[TensorSpec]
) -> list[tuple[str, TensorSpec]]:
    known = {each.name: each for each in specs}
    for name in sorted(tensors):
        if name not in known:
            path = f"ensemble_scheduling.step[{index}].{what}_map"
            raise _refused(path, name, f"the model has {', '.join(known)}")
    return [(name, known[name]) for name in sorted(tensors)]


def _check_inputs(index: int, step: Step, described: Described, kinds: Mapping[str, str]) -> None:
    path = f"ensemble_scheduling.step[{index}].input_map"
    for name, spec in _mapped(index, "input", step.inputs, described.signature.inputs):
        kind = kinds[step.inputs[name]]
        if kind != spec.datatype:
            raise _refused(f"{path}[{name}]", step.inputs[name], f"it is {kind}, and the model takes {spec.datatype}")
    optional = {each["name"] for each in described.configuration.get("input", ()) if each.get("optional")}
    for spec in described.signature.inputs:
        if spec.name not in step.inputs and spec.name not in optional:
            raise _refused(path, ", ".join(sorted(step.inputs)), f"the model needs {spec.name!r} too")


def _refused(path: str, value: str, why: str) -> LoadError:
    return LoadError("open", f"{FILE}: {path}: {value!r} is not allowed; {why}")
