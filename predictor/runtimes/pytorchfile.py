"""What a PyTorch file is, by what it holds: all of them are zip archives, and their names say little."""

from __future__ import annotations

import zipfile
import zlib
from enum import StrEnum
from pathlib import Path

from predictor.runtimes.safetensors import CorruptError

MAX_RATIO = 100
"""Weights are stored as they are; only code is compressed. A file that grows more than this is a trap."""

_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, RuntimeError, ValueError)
"""What zipfile raises for what it cannot read; OSError where a wrong number says where to look."""


class Kind(StrEnum):
    """What can be done with a file."""

    SCRIPT = "TorchScript"
    EXPORTED = "torch.export"
    CHECKPOINT = "pickled checkpoint"


def kind(path: Path) -> Kind:
    """Return what the file is, having read all of it; raises CorruptError naming it and what is wrong.

    What is no archive is a checkpoint of before PyTorch 1.6: a pickle alone.
    """
    with path.open("rb") as file:
        start = file.read(4)
    if start[:1] == b"\x80":
        return Kind.CHECKPOINT
    if start[:2] != b"PK":
        raise CorruptError(f"{path.name} is corrupt: it is neither an archive of PyTorch's nor a pickle")
    try:
        with zipfile.ZipFile(path) as archive:
            _check(path, archive)
            return _kind(path, archive.namelist())
    except _BROKEN as error:
        raise CorruptError(f"{path.name} is corrupt or truncated: {error}") from error


def _check(path: Path, archive: zipfile.ZipFile) -> None:
    members = archive.infolist()
    if len({each.filename for each in members}) != len(members):
        raise CorruptError(f"{path.name} is corrupt: it holds two files of one name")
    size = sum(each.file_size for each in members)
    if size > path.stat().st_size * MAX_RATIO:
        raise CorruptError(f"{path.name} would be {size} bytes large, {MAX_RATIO} times as large as it is")
    wrong = archive.testzip()
    if wrong is not None:
        raise CorruptError(f"{path.name} is corrupt: the checksum of {wrong} in it is wrong")


def _kind(path: Path, names: list[str]) -> Kind:
    inner = {each.partition("/")[2] for each in names}
    if "archive_format" in inner or "serialized_exported_program.json" in names:
        return Kind.EXPORTED
    if "constants.pkl" in inner and any(each.startswith("code/") for each in inner):
        return Kind.SCRIPT
    if "data.pkl" in inner:
        return Kind.CHECKPOINT
    raise CorruptError(f"{path.name} is an archive, but none that PyTorch writes")
