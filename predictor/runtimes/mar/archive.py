"""Unpack a model archive, zip or .tar.gz, into a fresh folder, and nothing of it anywhere else.

An archive comes from a stranger: TorchServe had one that wrote outside of its folder (its pull request 2634). Here no
link is ever made, so that no path leads through one, and what a header says is checked before the file is made.
"""

from __future__ import annotations

import contextlib
import lzma
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from predictor.runtimes.mar.gzipped import Gzipped
from torpor.errors import LoadError

ZIPPED = (".mar", ".zip")
TARRED = (".tar.gz", ".tgz")
_PIECE = 1024 * 1024
_TYPES = {stat.S_IFLNK: "a link", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFIFO: "a pipe"}
_LONGEST_NAME, _LONGEST_PART = 1024, 255
"""Bytes; the second is what file systems take."""
_BROKEN = (EOFError, LookupError, OverflowError, RecursionError, RuntimeError, ValueError, struct.error)
_CORRUPT = (*_BROKEN, zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError)
"""What Python's own readers raise for bytes that are not what they should be; NotImplementedError among them."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much an archive may become."""

    files: int = 10_000
    """As in any other model's place."""
    size: int = 200 * 1024**3
    """Bytes; the disk's free space is a limit too."""
    ratio: int = 100
    """Times its own size. Weights hardly shrink, texts to a tenth."""
    harmless: int = 100 * 1024**2
    """Bytes up to which the ratio does not matter: zeros, of which tests are full, shrink to nothing."""

    def most(self, packed: int) -> int:
        """Return how many bytes may come out of so many."""
        return min(self.size, max(self.harmless, packed * self.ratio))


LIMITS = Limits()


def check(path: Path, limits: Limits = LIMITS) -> None:
    """Raise LoadError where it can be seen without unpacking that it will not do; a .tar.gz shows nothing so."""
    if path.name.endswith(TARRED):
        return
    with _told(path), zipfile.ZipFile(path) as archive:
        _check_zip(path, archive, limits)


def unpack(path: Path, folder: Path, limits: Limits = LIMITS) -> None:
    """Put what is in the archive into `folder`, which is empty; raises LoadError, after which some of it is there."""
    with _told(path):
        if path.name.endswith(TARRED):
            _untar(path, _Target(path, folder, limits))
        else:
            _unzip(path, _Target(path, folder, limits), limits)


def safe_name(name: str) -> PurePosixPath:
    """Return the path that stays in its folder, whatever system reads it; raises ValueError that says why not."""
    found = PurePosixPath(name)
    parts = found.parts
    if name.startswith("/") or "\\" in name or (parts and parts[0][1:2] == ":"):
        raise ValueError("it is no path below the archive's root")
    if ".." in parts:
        raise ValueError("it leads out of the archive")
    try:
        octets = name.encode()
    except UnicodeEncodeError as error:
        raise ValueError("it is no UTF-8") from error
    if any(octet < 32 or octet == 127 for octet in octets):
        raise ValueError("it has control characters")
    if len(octets) > _LONGEST_NAME or any(len(each.encode()) > _LONGEST_PART for each in parts):
        raise ValueError("it is too long")
    return found


class _Target:
    """The fresh folder, and what has come into it so far."""

    def __init__(self, archive: Path, folder: Path, limits: Limits) -> None:
        self._archive = archive
        self._folder = folder
        self._files: set[PurePosixPath] = set()
        self._folders: set[PurePosixPath] = set()
        self._members = 0
        self._most_files = limits.files
        self._most = limits.most(archive.stat().st_size)
        self._room = min(self._most, shutil.disk_usage(folder).free)
        self._written = 0

    def make_folder(self, name: str) -> None:
        path = self._named(name)
        if path in self._files:
            raise self._refused(f"{name!r} is in it twice")
        self._count()
        self._add_folders((path, *path.parents))
        (self._folder / path).mkdir(parents=True, exist_ok=True)

    def write(self, name: str, size: int, content: IO[bytes]) -> None:
        """Write a file of exactly this size."""
        path = self._named(name)
        if path in self._files or path in self._folders or not path.parts:
            raise self._refused(f"{name!r} is in it twice")
        self._count()
        self._add_folders(path.parents)
        self._files.add(path)
        self._check_room(size)
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        written = 0
        try:
            # Exclusive: where the file system knows two names as one, the second of them is an error.
            with target.open("xb") as file:
                while piece := content.read(_PIECE):
                    written += len(piece)
                    if written > size:
                        raise self._refused(f"{name!r} is larger than it says")
                    file.write(piece)
        except FileExistsError as error:
            raise self._refused(f"{name!r} is in it twice, as this file system sees it") from error
        if written != size:
            raise self._refused(f"{name!r} ends after {written} of its {size} bytes")

    def _named(self, name: str) -> PurePosixPath:
        try:
            return safe_name(name)
        except ValueError as error:
            raise self._refused(f"the path {name!r} in it is not allowed: {error}") from error

    def _add_folders(self, paths: Iterable[PurePosixPath]) -> None:
        for each in paths:
            if each in self._files:
                raise self._refused(f"{str(each)!r} is a file and a folder in it")
            self._folders.add(each)
        if len(self._folders) > self._most_files:
            raise self._refused(f"it makes more than {self._most_files} folders")

    def _count(self) -> None:
        self._members += 1
        if self._members > self._most_files:
            raise self._refused(f"it holds more than {self._most_files} files")

    def _check_room(self, size: int) -> None:
        self._written += size
        if self._written > self._most:
            raise self._refused(f"it would become larger than {self._most} bytes: it is a trap")
        if self._written > self._room:
            raise LoadError(
                "open", f"{self._archive.name}: the disk has too little space for what is in it; free some space"
            )

    def _refused(self, why: str) -> LoadError:
        return _refused(self._archive, why)


def _unzip(path: Path, target: _Target, limits: Limits) -> None:
    with zipfile.ZipFile(path) as archive:
        _check_zip(path, archive, limits)
        for each in archive.infolist():
            if each.is_dir():
                target.make_folder(each.filename)
                continue
            with archive.open(each) as content:  # checks its checksum at the end
                target.write(each.filename, each.file_size, content)


def _check_zip(path: Path, archive: zipfile.ZipFile, limits: Limits) -> None:
    members = archive.infolist()
    if len(members) > limits.files:
        raise _refused(path, f"it holds {len(members)} files; {limits.files} are the most")
    names: set[PurePosixPath] = set()
    for each in members:
        try:
            name = safe_name(each.orig_filename)
        except ValueError as error:
            raise _refused(path, f"the path {each.orig_filename!r} in it is not allowed: {error}") from error
        if each.flag_bits & 0x1:
            raise _refused(path, f"{each.filename!r} in it is encrypted")
        kind = stat.S_IFMT(each.external_attr >> 16)
        if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
            raise _refused(path, f"{each.filename!r} in it is {_TYPES.get(kind, 'no file')}")
        if name in names and not each.is_dir():
            raise _refused(path, f"{each.filename!r} is in it twice")
        names.add(name)
    size = sum(each.file_size for each in members)
    most = limits.most(path.stat().st_size)
    if size > most:
        raise _refused(path, f"it would become {size} bytes large, and {most} are the most: it is a trap")


def _untar(path: Path, target: _Target) -> None:
    with path.open("rb") as packed, Gzipped(packed, lambda why: _refused(path, why)) as unpacked:
        with tarfile.open(fileobj=unpacked, mode="r|") as archive:  # type: ignore[call-overload]  # it only reads
            for each in archive:
                if each.isdir():
                    target.make_folder(each.name)
                elif each.isreg() and not each.issparse():
                    unpacked.expect(each.size)
                    content = archive.extractfile(each)
                    assert content is not None  # noqa: S101  # it is a file
                    target.write(each.name, each.size, content)
                else:
                    raise _refused(path, f"{each.name!r} in it is {_kind(each)}")
                archive.members = []  # which it would keep for those who ask again
                unpacked.expect(0)
        unpacked.check_end()


def _kind(member: tarfile.TarInfo) -> str:
    if member.issym() or member.islnk():
        return "a link"
    return "a device" if member.isdev() else "no plain file"


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say of an archive that cannot be read that it is corrupt; the disk's own errors stay what they are."""
    try:
        yield
    except _CORRUPT as error:
        if isinstance(error, LoadError):
            raise
        raise _refused(path, f"it is corrupt or truncated: {error}") from error
    except OSError as error:
        if error.errno is not None and os.strerror(error.errno) == error.strerror and error.errno != 22:
            raise
        raise _refused(path, f"it is corrupt: {error}") from error


def _refused(path: Path, why: str) -> LoadError:
    return LoadError("verify", f"{path.name} cannot be unpacked: {why}")
