"""What calls that only ask how a revision is are answered while it sleeps, without waking it.

The same as for the paths of HTTP/1.1 (`activator.waiting.asleep`). The messages are a field or none, so they stand
here as they go over the wire.
"""

from __future__ import annotations

from typing import Final

from torpor.spec.waiting import Asleep

CHECK: Final = b"/grpc.health.v1.Health/Check"
"""Its `Watch` is a stream, and a call as any other: who watches a model wants it awake."""

_TRUE, _FALSE = b"\x08\x01", b""
SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"

# Alive, and not ready.
_HEALTH: Final = {
    CHECK: NOT_SERVING,
    b"/inference.GRPCInferenceService/ServerLive": _TRUE,
    b"/inference.GRPCInferenceService/ServerReady": _FALSE,
    b"/inference.GRPCInferenceService/ModelReady": _FALSE,
}
_PROBE: Final = b"kube-probe/"


def answer(asked: Asleep, path: bytes, agent: bytes) -> bytes | None:
    """Return the message to answer in place of a pod, None where the call wakes the revision as any other.

    `agent`: who asks. Kubernetes' own probes ask whether the door is there, and never wake anything.
    """
    if path == CHECK and agent.startswith(_PROBE):
        return SERVING
    return _HEALTH.get(path) if asked.health else None
