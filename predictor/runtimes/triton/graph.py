"""The steps of an ensemble: whether they make a graph that can be executed, and which of them are next. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from predictor.runtimes.triton.fields import refused

MOST_STEPS = 1000


@dataclass(frozen=True, slots=True)
class Step:
    """One model that is asked."""

    model: str
    version: int
    """0: its default."""
    inputs: Mapping[str, str]
    """The model's name of each input, and that of the ensemble's tensor."""
    outputs: Mapping[str, str]
    """Likewise; what is not named is not needed."""


def check(steps: Sequence[Step], inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Raise InvalidInputError unless every tensor is made once, by what does not need it, and every output is made."""
    if not 1 <= len(steps) <= MOST_STEPS:
        raise refused("ensemble_scheduling.step", f"{len(steps)} steps", f"use from 1 to {MOST_STEPS}")
    made = dict.fromkeys(inputs, "an input of the ensemble")
    for index, step in enumerate(steps):
        _check_step(f"ensemble_scheduling.step[{index}]", step, index, made)
    for index, step in enumerate(steps):
        for name, tensor in sorted(step.inputs.items()):
            if tensor not in made:
                path = f"ensemble_scheduling.step[{index}].input_map[{name}]"
                raise refused(path, tensor, f"no step makes it; use one of {_few(made)}")
    for index, name in enumerate(outputs):
        if name not in made:
            raise refused(f"output[{index}].name", name, "no step makes it; name it in an output_map")
    _check_acyclic(steps, inputs)


def ready(steps: Sequence[Step], waiting: Collection[int], there: Collection[str]) -> list[int]:
    """Return which of the steps that wait can be executed with the tensors that are there."""
    return [index for index in sorted(waiting) if all(each in there for each in steps[index].inputs.values())]


def _check_step(path: str, step: Step, index: int, made: dict[str, str]) -> None:
    if not step.model:
        raise refused(f"{path}.model_name", "", "a value is required")
    for field, tensors in (("input_map", step.inputs), ("output_map", step.outputs)):
        if not tensors:
            raise refused(f"{path}.{field}", "nothing", "map at least one tensor")
        for name, tensor in sorted(tensors.items()):
            if not tensor:
                raise refused(f"{path}.{field}[{name}]", "", "a value is required")
    for name, tensor in sorted(step.outputs.items()):
        if tensor in made:
            raise refused(f"{path}.output_map[{name}]", tensor, f"it is {made[tensor]} already")
        made[tensor] = f"made by step[{index}]"


def _check_acyclic(steps: Sequence[Step], inputs: Sequence[str]) -> None:
    there, waiting = set(inputs), set(range(len(steps)))
    while waiting:
        found = ready(steps, waiting, there)
        if not found:
            circle = ", ".join(f"step[{index}]" for index in sorted(waiting))
            raise refused("ensemble_scheduling.step", circle, "steps cannot wait for one another in a circle")
        waiting.difference_update(found)
        there.update(tensor for index in found for tensor in steps[index].outputs.values())


def _few(names: Collection[str]) -> str:
    return ", ".join(sorted(names)[:10]) + (", …" if len(names) > 10 else "")
