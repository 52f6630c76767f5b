"""What is known of a model is known of it in the server too."""

from __future__ import annotations

import pytest

from predictor.batching.options import Batching, QueuePolicy
from predictor.model import Signature, TensorSpec
from predictor.processes import description
from predictor.processes.description import Description
from predictor.processes.messages import GarbledError, Message
from tests.predictor.processes.test_messages import received, sent

WHOLE = Description(
    Signature("python_class", (TensorSpec("x", "FP32", (-1, 4)),), (TensorSpec("y", "BYTES", (-1,)),)),
    takes_parameters=True,
    explains=True,
    streams=True,
    handles=True,
    sends_parts=True,
    labels={"y": ["cat", "dog"]},
    version="2.1",
    batching=Batching(
        8,
        (4, 8),
        0.01,
        2,
        1,
        QueuePolicy(1.5, delays=True),
        {2: QueuePolicy(max_size=3)},
        instances=2,
        padding={"x": -1.0},
    ),
    configuration={"name": "m", "max_batch_size": 8},
)


@pytest.mark.parametrize("whole", [WHOLE, Description(Signature("python_class", (), ()))], ids=["whole", "bare"])
def test_it_comes_over(whole: Description) -> None:
    assert description.heard(received(sent(description.told(whole)))) == whole


@pytest.mark.parametrize("value", [None, {}, {"signature": {}}, 3, []])
def test_what_is_none_is_garbled(value: object) -> None:
    with pytest.raises(GarbledError):
        description.heard(Message("opened", value))
