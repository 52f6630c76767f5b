"""What the process takes, as the system says it, and what it lets go of."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from predictor.memory import allocator, measure
from predictor.memory.amount import Amount

MB = 10**6
SIZE = 64 * MB


class Cycle:
    """As models are: it refers to itself."""

    def __init__(self) -> None:
        self.weights = np.ones(SIZE, np.uint8)
        self.itself = self


def test_an_array_is_seen() -> None:
    before = measure.taken()
    array = np.ones(SIZE, np.uint8)
    assert abs(measure.taken().host - before.host - array.nbytes) < 4 * MB
    assert before.gpu == 0


def test_another_process_is_seen() -> None:
    """As long as it runs."""
    code = f"array = bytearray(b'1' * {SIZE}); print(len(array), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        alone = measure.taken().host
        assert 2 * SIZE > measure.taken([process.pid]).host - alone > SIZE
        process.kill()
    assert abs(measure.taken([process.pid]).host - measure.taken().host) < MB


def test_a_model_out_of_the_collector_s_sight_is_found() -> None:
    """Its memory does not come back by the quick way, so all objects are looked at: in a process that has no others."""
    done = subprocess.run([sys.executable, "-m", __name__], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["missed", "found", "returned"]


def find_what_is_out_of_sight() -> None:
    """Say whether a model in a cycle was missed, then found, and its memory returned."""
    start = measure.taken()
    model = Cycle()
    gone = weakref.ref(model)
    gc.freeze()
    before = measure.taken()
    del model
    measure.give_back(before, Amount(0))
    print("missed" if gone() is not None else "there was nothing to look for")  # noqa: T201  # to the test
    measure.give_back(before, Amount(SIZE))
    print("found" if gone() is None else "not found")  # noqa: T201
    print("returned" if measure.taken().host - start.host < 4 * MB else "not returned")  # noqa: T201


def test_only_what_was_imported_since_leaves_the_view() -> None:
    """A model that was loaded before stays in it."""
    view = measure.View()
    view.clear()
    model = Cycle()
    gone = weakref.ref(model)
    view.clear()
    del model
    gc.collect()
    assert gone() is None


def test_where_the_system_says_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """An old kernel has no sums, another system nothing at all."""
    exact = measure.taken().host
    monkeypatch.setattr(measure, "_ROLLUP", Path("/nowhere"))
    assert abs(measure.taken().host - exact) < 32 * MB
    monkeypatch.setattr(measure, "_STATM", Path("/nowhere"))
    assert measure.taken() == Amount(0)


def test_without_glibc_nothing_is_asked_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "_glibc", lambda: None)
    allocator.trim()
    with allocator.Apart():
        pass


def test_loads_at_once_are_apart_until_the_last_one_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(allocator, "_set", asked.append)
    apart = allocator.Apart()
    with apart, apart:
        assert asked == [allocator.APART_BYTES]
    assert asked == [allocator.APART_BYTES, allocator.USUAL_BYTES]


def test_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the arithmetic: a torch of our own stands in, as there is no GPU. One that is idle is not asked."""
    emptied: list[bool] = []
    cuda = SimpleNamespace(
        is_initialized=lambda: True,
        device_count=lambda: 2,
        memory_allocated=lambda device: 100 + device,
        empty_cache=lambda: emptied.append(True),
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert measure.taken().gpu == 201
    measure.give_back(Amount(0), Amount(0))
    assert emptied == [True]
    cuda.is_initialized = lambda: False
    assert measure.taken().gpu == 0
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace())
    assert measure.taken().gpu == 0


if __name__ == "__main__":
    find_what_is_out_of_sight()
