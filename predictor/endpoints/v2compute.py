"""From the body of a V2 inference to its answer. Imported when the first one is computed: it brings numpy."""

from __future__ import annotations

import time
from collections.abc import Sequence

from predictor.endpoints import description
from predictor.endpoints.body import Octets
from predictor.endpoints.reply import BYTES, Reply
from predictor.loading.held import Held
from predictor.served import Served
from predictor.statistics import Laps
from torpor.protocol import inference, v2
from torpor.protocol.headers import HEADER_LENGTH
from torpor.protocol.inference import InferRequest
from torpor.protocol.tensors import Tensor

_HEADER = HEADER_LENGTH.lower().encode()


def infer(served: Served, held: Held, body: Octets, laps: Laps, header_length: str | None) -> Reply:
    """Return the answer; `header_length` is the header that says how much of the body is JSON, where it came."""
    length = v2.read_header_length(header_length, len(body))
    if length == 0:
        only = description.only_input(held.signature)
        request = v2.decode_raw(body, only.name, only.datatype, only.shape)
    else:
        request = v2.decode(body, length)
    laps.decoded_ns = time.perf_counter_ns()
    outputs = computed(held, request, laps)
    laps.inferred_ns = time.perf_counter_ns()
    encoded = v2.encode(served.name, served.version, request.id, inference.select(request, outputs, held.labels))
    if encoded.header_length is None:
        return Reply((encoded.head,))
    return Reply((encoded.head, *encoded.tail), BYTES, ((_HEADER, b"%d" % encoded.header_length),))


def computed(held: Held, request: InferRequest, laps: Laps) -> Sequence[Tensor]:
    """Return what the model answers, all of it; raises InvalidInputError before that for an output that it lacks."""
    shape = request.inputs[0].shape
    laps.rows = shape[0] if shape else 1
    if request.outputs and held.outputs:
        inference.check_outputs(request.outputs, held.outputs)
    if request.parameters and held.takes_parameters is not None:
        return held.takes_parameters.infer_with(request.inputs, request.parameters)
    return held.model.infer(request.inputs)
