"""What a request says of its waiting: with whom it may be joined, how important it is, how long it may wait."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from predictor.batching.options import Batching
from predictor.batching.together import key_of, passed_on
from predictor.calls import RESERVED, Call, Infer, Predict
from predictor.loading.held import Held
from torpor.errors import InvalidInputError

MICROSECONDS = 1e6
_MOST = 2**63 - 1


class Wishes(NamedTuple):
    """Of one request."""

    key: Hashable
    level: int
    timeout_s: float
    """0: for ever."""


def wishes(call: Call, held: Held, batching: Batching) -> Wishes:
    """Return them; raises InvalidInputError naming `parameters.priority` or `parameters.timeout`."""
    parameters = _parameters(call)
    level = batching.level(_whole(parameters, "priority"))
    policy = batching.policy_of(level)
    timeout_s = policy.timeout_s
    own_s = _whole(parameters, "timeout") / MICROSECONDS
    if own_s and policy.allows_override:
        timeout_s = min(own_s, timeout_s) if timeout_s else own_s
    return Wishes(key_of(call, held, batching.padding), level, timeout_s)


def checked(call: Call) -> Call:
    """Return the call without what is of waiting, of which it needs none; raises InvalidInputError as `wishes` does."""
    parameters = _parameters(call)
    if not RESERVED & parameters.keys():
        return call
    for name in RESERVED:
        _whole(parameters, name)
    if isinstance(call, Infer):
        return Infer(replace(call.request, parameters=passed_on(parameters)))
    assert isinstance(call, Predict)  # noqa: S101  # no other has parameters
    return Predict(call.instances, passed_on(parameters))


def _parameters(call: Call) -> Mapping[str, Any]:
    if isinstance(call, Infer):
        return call.request.parameters
    return call.parameters if isinstance(call, Predict) else {}


def _whole(parameters: Mapping[str, Any], name: str) -> int:
    value = parameters.get(name)
    if value is None:
        return 0
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20:
        return int(value)  # Triton's own clients have sent it so
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST:
        raise InvalidInputError(f"parameters.{name}", value, "use a whole number, 0 for none")
    return value
