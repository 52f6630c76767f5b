"""What a process does not take on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from predictor.processes.child import _warm
from torpor.errors import LoadError, UnsupportedError


def test_a_model_that_keeps_state_is_refused() -> None:
    model: Any = SimpleNamespace(sequencing=object(), warm=lambda: None)
    with pytest.raises(UnsupportedError, match="this model is stateful"):
        _warm(model)


def test_what_fails_on_the_first_call_says_which_stage_that_was() -> None:
    def warm() -> None:
        raise MemoryError

    model: Any = SimpleNamespace(sequencing=None, warm=warm)
    with pytest.raises(LoadError, match="not enough memory") as caught:
        _warm(model)
    assert caught.value.stage == "warm"
