"""CloudEvents to a model: the data is a V1 request, the answer an event whose data is the V1 answer, as in KServe."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import orjson

from predictor.calls import Computing, Predict
from predictor.endpoints.body import Octets
from predictor.endpoints.inference import Compute
from predictor.endpoints.reply import Reply
from predictor.loading.held import Held
from predictor.served import Served
from predictor.settings import Events
from torpor.errors import InvalidInputError
from torpor.protocol import v1


def compute(headers: Mapping[str, str], settings: Events) -> Compute:
    """Return what computes the answer to the event that has these headers, names in lower case."""
    return partial(_predict, headers, settings)


def _predict(
    headers: Mapping[str, str], settings: Events, served: Served, _held: Held, body: Octets
) -> Computing[Reply]:
    from torpor.protocol import cloudevents  # noqa: PLC0415  # 20 ms, which only its users shall pay

    event = cloudevents.read(headers, bytes(body))
    if not isinstance(event.data, dict):
        raise InvalidInputError("data", event.data, 'use a JSON object: {"instances": [...]}')
    request = v1.read(event.data)
    predicted = yield Predict(request.instances, request.parameters)
    answer: Any = orjson.loads(v1.encode(predicted))
    source = settings.source or f"io.kserve.inference.{served.name}"
    fields, content = cloudevents.reply(event, settings.type, source, answer, merged=settings.merged)
    media_type = fields.pop("content-type", "application/json").encode()
    return Reply((content,), media_type, tuple([(name.encode(), value.encode()) for name, value in fields.items()]))
