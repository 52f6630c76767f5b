"""Modules that one thread does not find while it imports another."""

from __future__ import annotations

import importlib
import sys
import threading

import pytest

from predictor.runtimes.without import without


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of the standard library that is not imported."""
    monkeypatch.delitem(sys.modules, "this", raising=False)
    return "this"


def test_it_is_missing_in_the_block_and_there_after(fresh: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As it would be where it is not installed."""
    with without(fresh), pytest.raises(ModuleNotFoundError, match="No module named 'this'"):
        importlib.import_module(fresh)
    importlib.import_module(fresh)
    assert "Zen" in capsys.readouterr().out


def test_other_threads_find_it(fresh: str) -> None:
    """Another model may need it at that moment."""
    found: list[object] = []
    with without(fresh):
        thread = threading.Thread(target=lambda: found.append(importlib.util.find_spec(fresh)))
        thread.start()
        thread.join()
    assert found[0] is not None


def test_what_is_imported_stays() -> None:
    """Its parts too."""
    import xml

    assert xml.__name__ in sys.modules
    with without("xml"):
        found = importlib.import_module("xml.sax.saxutils")
    assert found.escape("<") == "&lt;"
