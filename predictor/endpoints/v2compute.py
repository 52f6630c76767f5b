"""From the body of a V2 inference to its answer. Imported when the first one is computed: it brings numpy."""

from __future__ import annotations

from predictor.calls import Computing, Infer
from predictor.endpoints import description
from predictor.endpoints.body import Octets
from predictor.endpoints.reply import BYTES, Reply
from predictor.loading.held import Held
from predictor.served import Served
from torpor.protocol import inference, v2
from torpor.protocol.headers import HEADER_LENGTH
from torpor.protocol.inference import InferRequest

_HEADER = HEADER_LENGTH.lower().encode()


def infer(served: Served, held: Held, body: Octets, header_length: str | None) -> Computing[Reply]:
    """Return the answer; `header_length` is the header that says how much of the body is JSON, where it came."""
    length = v2.read_header_length(header_length, len(body))
    if length == 0:
        only = description.only_input(held.signature)
        request = v2.decode_raw(body, only.name, only.datatype, only.shape)
    else:
        request = v2.decode(body, length)
    outputs = yield checked(held, request)
    encoded = v2.encode(served.name, served.version, request.id, inference.select(request, outputs, held.labels))
    if encoded.header_length is None:
        return Reply((encoded.head,))
    return Reply((encoded.head, *encoded.tail), BYTES, ((_HEADER, b"%d" % encoded.header_length),))


def checked(held: Held, request: InferRequest) -> Infer:
    """Return the call; raises InvalidInputError for an output that the model lacks."""
    if request.outputs and held.outputs:
        inference.check_outputs(request.outputs, held.outputs)
    return Infer(request)
