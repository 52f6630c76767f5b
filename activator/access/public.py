"""What is answered to anybody, where the owner says so: whether a model is well, and what it says of itself."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torpor.spec.access import ALL, HEALTH, METADATA

_NAME = rb"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+"
"""Of a model, with nothing in it that a pod may read as something else than a name."""
_LOOK, _CALL = frozenset({b"GET", b"HEAD"}), frozenset({b"POST"})
_GRPC = rb"/inference\.GRPCInferenceService/"
# Of HTTP paths only what reads, and only as it is written here.
_PUBLIC: Mapping[str, tuple[tuple[frozenset[bytes], re.Pattern[bytes]], ...]] = {
    HEALTH: (
        (
            _LOOK,
            re.compile(
                rb"/healthz|/readyz|/v2/health/(?:live|ready)"
                rb"|/v2/models/%b(?:/versions/%b)?/ready|/v1/models/%b" % (_NAME, _NAME, _NAME)
            ),
        ),
        (
            _CALL,
            re.compile(_GRPC + rb"(?:Server(?:Live|Ready)|ModelReady)|/grpc\.health\.v1\.Health/Check"),
        ),
    ),
    METADATA: (
        (
            _LOOK,
            re.compile(
                rb"/v2/?|/v2/models/?|/v2/models/%b(?:/versions/%b)?|/v1/models|/openai/v1/models" % (_NAME, _NAME)
            ),
        ),
        (_CALL, re.compile(_GRPC + rb"(?:Server|Model)Metadata")),
    ),
}


def is_public(words: frozenset[str], method: bytes, target: bytes) -> bool:
    """Tell whether a request needs no credential. `words`: those of a policy."""
    if ALL in words:
        return True
    path = target.partition(b"?")[0]
    return any(
        method in methods and pattern.fullmatch(path) for word in words for methods, pattern in _PUBLIC.get(word, ())
    )
