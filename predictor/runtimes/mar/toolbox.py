"""What handlers import from ts.utils.util and its like: labels of classes, a model's class, an error with a status."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class PredictionException(Exception):  # noqa: N818  # handlers know it by this name
    """A handler refuses a request: with a message and a status that are for its client."""

    def __init__(self, message: str, error_code: int = 500) -> None:
        self.message = message
        self.error_code = error_code
        super().__init__(message)

    def __str__(self) -> str:
        return f"{self.message} : {self.error_code}"


def list_classes_from_module(module: ModuleType, parent_class: type | None = None) -> list[type]:
    """Return the classes that the module itself defines, of one kind if that is given."""
    own = [each for _, each in inspect.getmembers(module, inspect.isclass) if each.__module__ == module.__name__]
    return [each for each in own if parent_class is None or issubclass(each, parent_class)]


def load_label_mapping(mapping_file_path: str, type: str = "json") -> dict[str, Any] | None:  # noqa: A002  # its name there
    """Return the names of classes by number, out of index_to_name.json; None where there is no such file."""
    path = Path(mapping_file_path)
    if not path.is_file():
        return None
    if type != "json":
        raise ValueError(f"labels of type {type!r} are not read; json is")
    mapping = json.loads(path.read_text("utf-8"))
    if not isinstance(mapping, dict):
        raise TypeError(f"{path.name} should hold names by number")
    if isinstance(mapping.get("object_type_names"), list):  # an older form
        return {str(index): name for index, name in enumerate(mapping["object_type_names"])}
    return mapping


def map_class_to_label(
    probs: Sequence[Sequence[float]],
    mapping: Mapping[str, Any] | None = None,
    lbl_classes: Sequence[Sequence[int]] | None = None,
) -> list[dict[str, float]]:
    """Return for each row its probabilities by label: by number where no label is known.

    `lbl_classes` says which classes the probabilities are of; without it, those of all in order.
    """
    found = []
    for index, row in enumerate(probs):
        classes = range(len(row)) if lbl_classes is None else lbl_classes[index]
        found.append({_label(mapping, number): value for number, value in zip(classes, row, strict=True)})
    return found


def _label(mapping: Mapping[str, Any] | None, number: int) -> str:
    if mapping is None:
        return str(number)
    name = mapping[str(number)]
    return str(name[-1]) if isinstance(name, list) else str(name)  # ImageNet's: number, then name


def timed(method: F) -> F:
    """Do nothing: how long a model takes is measured outside of it."""

    @functools.wraps(method)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return method(*args, **kwargs)

    return wrapper  # type: ignore[return-value]  # it is called as the method is


def send_intermediate_predict_response(
    ret: Sequence[Any], req_id_map: Mapping[int, str], message: str, code: int, context: Any = None
) -> None:
    """Send a part of each answer before the answers are complete."""
    del message, code
    if context is None or context.intermediate is None:
        raise RuntimeError("send_intermediate_predict_response needs the context of the call that is in progress")
    for index in req_id_map:
        context.intermediate(index, ret[index])
