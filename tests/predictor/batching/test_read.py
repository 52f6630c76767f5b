"""How batching is said: by settings and by a model's class; what is wrong is named with what is allowed."""

from __future__ import annotations

from typing import Any

import pytest

from predictor.batching.options import Batching, QueuePolicy
from predictor.batching.read import OPTIONS, read_batching
from predictor.settings import from_environment
from torpor.errors import InvalidInputError, SettingError

POD = {"TORPOR_MODEL_NAME": "m", "TORPOR_MODEL_FORMAT": "python", "STORAGE_URI": "file:///m"}


@pytest.mark.parametrize("given", [{}, {"max_batch_size": 0}, {"max_batch_size": "0"}])
def test_without_a_size_there_is_none(given: dict[str, Any]) -> None:
    assert read_batching(given) is None


def test_everything() -> None:
    found = read_batching(
        {
            "max_batch_size": 8,
            "preferred_batch_sizes": "8, 4",
            "batch_delay_ms": 2.5,
            "queue_timeout_ms": "100",
            "max_queue_size": 5,
            "priority_levels": 3,
            "instances": 2,
            "padding": {"ids": 0, "mask": -1.5},
        }
    )
    assert found == Batching(
        8, (4, 8), 0.0025, 3, 2, QueuePolicy(0.1, max_size=5), instances=2, padding={"ids": 0.0, "mask": -1.5}
    )


@pytest.mark.parametrize(
    ("given", "option", "allowed"),
    [
        ({"max_batch": 8}, "max_batch", "use one of max_batch_size"),
        ({"max_batch_size": -1}, "max_batch_size", "from 0 to"),
        ({"max_batch_size": 1.5}, "max_batch_size", "whole number"),
        ({"max_batch_size": True}, "max_batch_size", "whole number"),
        ({"max_batch_size": "many"}, "max_batch_size", "whole number"),
        ({"instances": 2}, "instances", "set max_batch_size too"),
        ({"max_batch_size": 4, "preferred_batch_sizes": [5]}, "preferred_batch_sizes", "from 1 to 4"),
        ({"max_batch_size": 4, "preferred_batch_sizes": 5}, "preferred_batch_sizes", "list"),
        ({"max_batch_size": 4, "batch_delay_ms": "inf"}, "batch_delay_ms", "milliseconds from 0"),
        ({"max_batch_size": 4, "priority_levels": 2, "default_priority": 3}, "default_priority", "from 1 to 2"),
        ({"max_batch_size": 4, "padding": {"x": None}}, "padding", "names of inputs"),
        ({"max_batch_size": 4, "padding": 0}, "padding", "names of inputs"),
    ],
)
def test_what_is_wrong(given: dict[str, Any], option: str, allowed: str) -> None:
    with pytest.raises(InvalidInputError, match=allowed) as caught:
        read_batching(given)
    assert caught.value.field == option


def test_settings() -> None:
    """Each option but padding has its variable."""
    found = from_environment(
        POD | {"TORPOR_PREDICTOR_MAX_BATCH_SIZE": "16", "TORPOR_PREDICTOR_BATCH_DELAY_MS": "5"}
    ).source.batching
    assert found == Batching(16, delay_s=0.005)
    assert from_environment(POD).source.batching is None
    for option in set(OPTIONS) - {"padding", "max_batch_size"}:
        key = f"TORPOR_PREDICTOR_{option.upper()}"
        with pytest.raises(SettingError, match=f"{key}.*TORPOR_PREDICTOR_MAX_BATCH_SIZE too"):
            from_environment(POD | {key: "1"})
