"""Import a library without others that it would take along if it found them, and that a model does not need."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from importlib.machinery import ModuleSpec


class _Missing:
    """A finder that finds some modules missing, and only for one thread: others import what they need meanwhile."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self._thread = threading.get_ident()

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002
        if name.partition(".")[0] in self._names and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


@contextlib.contextmanager
def without(*names: str) -> Iterator[None]:
    """Hide modules from what this thread imports in the block; those that are imported already stay."""
    finder = _Missing(frozenset(names) - sys.modules.keys())
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
