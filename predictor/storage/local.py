"""`file:///FOLDER` and plain paths: files of this machine, used where they lie."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from predictor.storage.place import MOST_FILES, File, Listing, Stop
from torpor.errors import ForbiddenError, InvalidInputError, NotFoundError, TooLargeError


@dataclass(frozen=True, slots=True)
class LocalPlace:
    """A folder, or one file."""

    uri: str
    path: Path

    def look(self) -> Listing:
        try:
            if self.path.is_dir():
                return Listing(tuple(self._files()), self.path)
            return Listing((File(self.path.name, self.path.stat().st_size),), self.path.parent)
        except FileNotFoundError as error:
            raise NotFoundError(f"{self._named} does not exist") from error
        except PermissionError as error:
            raise ForbiddenError(f"{self.uri}: user {os.getuid()} may not read {error.filename}") from error

    def fetch(self, files: Sequence[File], folder: Path, received: Callable[[int], None], stop: Stop) -> None:
        """Nothing to do: `look` says that the files are here."""

    @property
    def _named(self) -> str:
        """As the user wrote it, and, where that is something else, as it is on this machine."""
        return self.uri if self.uri == str(self.path) else f"{self.uri}: {self.path}"

    def _files(self) -> Iterator[File]:
        count = 0
        for path in sorted(self.path.rglob("*")):
            if path.is_file():
                count += 1
                yield File(path.relative_to(self.path).as_posix(), path.stat().st_size)
            if count > MOST_FILES:
                raise TooLargeError(f"{self.uri} holds more than {MOST_FILES} files; name the folder of one model")
        if not count:
            raise NotFoundError(f"{self._named} holds no file")


def plain(path: str) -> LocalPlace:
    """Return the place that a path without a scheme names."""
    return _at(path, Path(path))


def file(uri: str) -> LocalPlace:
    """Return the place that `file:///PATH` names."""
    parts = urlsplit(uri)
    if parts.netloc not in {"", "localhost"}:
        raise InvalidInputError("storageUri", uri, "file:///FOLDER has three slashes and names no other host")
    return _at(uri, Path(unquote(parts.path)))


def _at(uri: str, path: Path) -> LocalPlace:
    if not path.is_absolute():
        raise InvalidInputError("storageUri", uri, "the path must be absolute, for instance file:///models/mine")
    return LocalPlace(uri, path)
