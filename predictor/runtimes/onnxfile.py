"""What an ONNX file says of itself, by a walk past its weights: which operators it needs, and which other files."""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from predictor.runtimes.protobuf import Buffer, ProtobufError, fields, text
from predictor.runtimes.safetensors import CorruptError

MAX_DEPTH = 64
"""Graphs in attributes of nodes of graphs: loops within loops."""


@dataclass(frozen=True, slots=True)
class External:
    """Where the weights of one tensor lie, as the file says it."""

    tensor: str
    location: str
    offset: int
    length: int | None


@dataclass(slots=True)
class Contents:
    """What was found."""

    operators: set[tuple[str, str]] = field(default_factory=set)
    """Domain and name of each that a node asks for, but for those that the file itself defines."""
    functions: set[tuple[str, str]] = field(default_factory=set)
    external: list[External] = field(default_factory=list)
    shapeless: set[str] = field(default_factory=set)
    """Inputs and outputs of which not even the number of dimensions is said."""
    has_graph: bool = False


def scan(path: Path) -> Contents:
    """Return what the file contains; raises CorruptError that names it."""
    size = path.stat().st_size
    if not size:
        raise CorruptError(f"{path.name} is empty")
    contents = Contents()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
        try:
            _model(raw, size, contents)
        except ProtobufError as error:
            raise CorruptError(f"{path.name} is truncated or corrupt: {error}") from error
    if not contents.has_graph:
        raise CorruptError(f"{path.name} is no ONNX model: it has no graph")
    contents.operators -= contents.functions
    return contents


def check_external(folder: Path, name: str, names: Iterable[str], external: Iterable[External]) -> None:
    """Raise CorruptError unless the weights of the model `name` lie in files of its folder that are there, as a whole.

    A path that leads elsewhere would have whoever wrote the model read any file of this machine.
    """
    there = set(names)
    root = folder.resolve()
    for each in external:
        where = f"{name}: the weights of {each.tensor!r} are to lie in {each.location!r}"
        place = PurePosixPath(each.location)
        if not each.location or place.is_absolute() or ".." in place.parts or "\\" in each.location:
            raise CorruptError(f"{where}, which is no file of the model's own folder")
        path = folder / place
        if not path.resolve().is_relative_to(root):
            raise CorruptError(f"{where}, which is a link out of the model's folder")
        if str(place) not in there or not path.is_file():
            raise CorruptError(f"{where}, and that file is not there")
        end, size = each.offset + (each.length or 0), path.stat().st_size
        if end > size:
            raise CorruptError(f"{where} up to byte {end}, and it has {size}; it is truncated")


# --- the messages of onnx.proto, by the numbers of their fields --------------------------------------------------


def _model(raw: Buffer, size: int, contents: Contents) -> None:
    for number, begin, end in fields(raw, 0, size):
        if number == 7:
            contents.has_graph = True
            _graph(raw, begin, end, contents, 0)
        elif number == 25:
            _function(raw, begin, end, contents)


def _graph(raw: Buffer, begin: int, end: int, contents: Contents, depth: int) -> None:
    if depth == MAX_DEPTH:
        raise ProtobufError(f"graphs are more than {MAX_DEPTH} levels deep")
    for number, start, stop in _parts(raw, begin, end):
        if number == 1:
            _node(raw, start, stop, contents, depth)
        elif number == 5:
            _tensor(raw, start, stop, contents)
        elif number == 15:
            _sparse(raw, start, stop, contents)
        elif number in {11, 12} and depth == 0:
            _value(raw, start, stop, contents)


def _function(raw: Buffer, begin: int, end: int, contents: Contents) -> None:
    name = domain = ""
    for number, start, stop in _parts(raw, begin, end):
        if number == 1:
            name = text(raw, start, stop)
        elif number == 10:
            domain = text(raw, start, stop)
        elif number == 7:
            _node(raw, start, stop, contents, 1)
        elif number == 11:
            _attribute(raw, start, stop, contents, 1)
    contents.functions.add((domain, name))


def _node(raw: Buffer, begin: int, end: int, contents: Contents, depth: int) -> None:
    name = domain = ""
    for number, start, stop in _parts(raw, begin, end):
        if number == 4:
            name = text(raw, start, stop)
        elif number == 7:
            domain = text(raw, start, stop)
        elif number == 5:
            _attribute(raw, start, stop, contents, depth)
    contents.operators.add((domain, name))


def _attribute(raw: Buffer, begin: int, end: int, contents: Contents, depth: int) -> None:
    for number, start, stop in fields(raw, begin, end):
        if stop < 0:  # numbers are among these
            continue
        if number in {5, 10}:
            _tensor(raw, start, stop, contents)
        elif number in {6, 11}:
            _graph(raw, start, stop, contents, depth + 1)
        elif number in {22, 23}:
            _sparse(raw, start, stop, contents)


def _sparse(raw: Buffer, begin: int, end: int, contents: Contents) -> None:
    for number, start, stop in fields(raw, begin, end):
        if number in {1, 2} and stop >= 0:
            _tensor(raw, start, stop, contents)


def _tensor(raw: Buffer, begin: int, end: int, contents: Contents) -> None:
    name, entries, is_external = "", {}, False
    for number, start, stop in fields(raw, begin, end):
        if number == 8 and stop >= 0:
            name = text(raw, start, stop)
        elif number == 13 and stop >= 0:
            key, value = _entry(raw, start, stop)
            entries[key] = value
        elif number == 14:
            is_external = stop < 0 and start == 1
    if is_external or entries:
        length = entries.get("length")
        contents.external.append(
            External(
                name,
                entries.get("location", ""),
                _whole(name, entries.get("offset", "0")),
                None if length is None else _whole(name, length),
            )
        )


def _entry(raw: Buffer, begin: int, end: int) -> tuple[str, str]:
    key = value = ""
    for number, start, stop in _parts(raw, begin, end):
        if number == 1:
            key = text(raw, start, stop)
        elif number == 2:
            value = text(raw, start, stop)
    return key, value


def _value(raw: Buffer, begin: int, end: int, contents: Contents) -> None:
    """Of an input or output: TypeProto, in it Tensor, in it the shape."""
    name, has_shape = "", False
    for number, start, stop in _parts(raw, begin, end):
        if number == 1:
            name = text(raw, start, stop)
        elif number == 2:
            for kind, first, last in _parts(raw, start, stop):
                has_shape |= kind == 1 and any(each == 2 for each, _, _ in fields(raw, first, last))
    if not has_shape:
        contents.shapeless.add(name)


def _parts(raw: Buffer, begin: int, end: int) -> Iterable[tuple[int, int, int]]:
    """Give the fields that are texts or messages."""
    return (each for each in fields(raw, begin, end) if each[2] >= 0)


def _whole(tensor: str, number: str) -> int:
    if not (number.isascii() and number.isdecimal() and len(number) < 20):
        raise ProtobufError(f"the weights of {tensor!r} are to lie at {number[:40]!r}, which is no number")
    return int(number)
