"""Which formats there are."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from predictor.runtimes.registry import FORMATS, check_installed, runtime
from torpor.errors import UnsupportedError


@pytest.mark.parametrize("name", [*FORMATS, "transformers", "scikit-learn"])
def test_every_format_has_its_runtime(name: str) -> None:
    """Here, all frameworks are installed."""
    check_installed(name, runtime(name))


def test_an_unknown_format_is_answered_with_those_that_exist() -> None:
    """All of them, in order."""
    with pytest.raises(UnsupportedError, match="'paddle' is not served here; there are huggingface, "):
        runtime("paddle")


def test_a_framework_that_is_missing_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is fetched for it."""
    find: Any = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "skops" else find(name))
    says = r"'sklearn' needs skops, not installed here; pip install 'torpor\[sklearn\]'"
    with pytest.raises(UnsupportedError, match=says):
        check_installed("sklearn", runtime("sklearn"))
