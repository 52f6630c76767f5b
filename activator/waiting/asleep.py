"""What is answered for a revision that sleeps without waking it: who only wants to know how it is needs no model."""

from __future__ import annotations

import re
from typing import NamedTuple

import orjson

from activator.throttle.remembered import Metadata, Remembered
from torpor.errors import UnavailableError
from torpor.spec.waiting import Asleep

ASLEEP = b"Torpor-State: asleep\r\n"
WAKING = b"Torpor-State: waking\r\n"
JSON = b"Content-Type: application/json\r\n"

# Heads were written by us: a request line, then `Name: value` lines.
_LINE = re.compile(rb"(GET|HEAD) ([^ ?]*)(\?[^ ]*)? ")
_PROBE = re.compile(rb"\r\n(?i:user-agent): kube-probe/")
_CREDENTIALS = re.compile(rb"\r\n(?i:authorization|cookie|x-api-key|torpor-caller): ")
_MODEL_READY = re.compile(rb"/v2/models/([^/]+)(?:/versions/[^/]+)?/ready\Z|/v1/models/([^/:]+)\Z")
_METADATA = re.compile(
    rb"/v2/?\Z|/v2/models/?\Z|/v2/models/[^/]+(?:/versions/[^/]+)?\Z|/v1/models\Z|/openai/v1/models\Z"
)


class Answer(NamedTuple):
    """What is answered."""

    status: int
    lines: bytes
    body: bytes


def metadata_path(head: bytes) -> bytes | None:
    """Return what a request asks of the model's metadata, as its path; None where it asks something else.

    What is told to whom shows credentials is not for everybody, and what a query asks is something else.
    """
    line = _LINE.match(head)
    if line is None or line[1] != b"GET" or line[3] or _METADATA.match(line[2]) is None or _CREDENTIALS.search(head):
        return None
    return line[2]


def answer(
    asked: Asleep, head: bytes, metadata: Metadata | None, *, probe: bytes | None = None, waking: bool, now_s: float
) -> Answer | None:
    """Return what to answer in place of a pod, None where the request wakes the revision as any other.

    `probe` is what one of Knative's wants to hear; Kubernetes' own are known by their name. Raises UnavailableError
    where the owner wants metadata never to wake it, and none is known.
    """
    if probe is not None or _PROBE.search(head):
        # The door is there and takes requests: that is what a probe asks, whatever its path.
        return Answer(200, _state(waking=waking) + b"Content-Type: text/plain\r\n", probe or b"asleep")
    line = _LINE.match(head)
    if line is None:
        return None
    path = line[2]
    if asked.health:
        known = _health(path)
        if known is not None:
            status, document = known
            return Answer(status, _state(waking=waking) + JSON, orjson.dumps(document))
    if asked.metadata and metadata is not None and _METADATA.match(path):
        said = None if line[3] else metadata.get(path)
        if said is not None:
            return _again(said, waking=waking, now_s=now_s)
        if asked.never_for_metadata:
            raise UnavailableError("the model is asleep and has not yet said this of itself; an inference wakes it")
    return None


def _health(path: bytes) -> tuple[int, dict[str, object]] | None:
    if path == b"/healthz":
        return 200, {"status": "alive"}
    if path == b"/v2/health/live":
        return 200, {"live": True}
    if path == b"/v2/health/ready":
        return 503, {"ready": False}
    if path == b"/readyz":
        return 503, {"status": "asleep"}
    model = _MODEL_READY.match(path)
    if model is None:
        return None
    return 503, {"name": (model[1] or model[2]).decode("latin-1"), "ready": False}


def _again(said: Remembered, *, waking: bool, now_s: float) -> Answer:
    age = b"Age: %d\r\n" % max(0, int(now_s - said.at_s))
    return Answer(200, _state(waking=waking) + age + said.lines, said.body)


def _state(*, waking: bool) -> bytes:
    return WAKING if waking else ASLEEP
