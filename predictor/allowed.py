"""Where models may be registered from: what the operator lists, and nothing by default."""

from __future__ import annotations

import re
from dataclasses import dataclass

from torpor.errors import ForbiddenError, InvalidInputError

ALLOWED_SOURCES = "TORPOR_PREDICTOR_ALLOWED_SOURCES"
_PLAIN = re.compile(r"[a-z][a-z0-9+.-]*://[A-Za-z0-9._~!$&'()*+,;=:/-]*", re.ASCII)
"""No percent signs, backslashes, question marks, blanks or at-signs: what two readers could read in two ways."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """Prefixes of URIs, each whole segments: `s3://models/team` allows `s3://models/team/x`, not `s3://models/team2`."""

    prefixes: tuple[str, ...] = ()

    def check(self, field: str, uri: str) -> str:
        """Return the URI in its one form; raises ForbiddenError unless it is below a prefix, InvalidInputError.

        The form is made before it is compared, and what is compared is what is loaded (TorchServe's CVE-2023-43654 let
        any URL in, CVE-2024-35198 one with `..` in it).
        """
        plain = canonical(field, uri)
        if any(plain == each or plain.startswith(each.rstrip("/") + "/") for each in self.prefixes):
            return plain
        listed = f"it lists {', '.join(self.prefixes)}" if self.prefixes else "it lists none"
        raise ForbiddenError(
            f"{field}: models may not be registered from {uri!r}; {ALLOWED_SOURCES} says where from, {listed}"
        )


def canonical(field: str, uri: str) -> str:
    """Return the URI in the form in which two of the same place are the same text; raises InvalidInputError."""
    scheme, mark, rest = uri.partition("://")
    plain = f"{scheme.lower()}{mark}{rest}"
    allowed = "use scheme://place/path of letters, digits and plain signs, without . and .. and without empty segments"
    if not mark or not _PLAIN.fullmatch(plain):
        raise InvalidInputError(field, uri, allowed)
    segments = rest.removeprefix("/").rstrip("/").split("/")  # file:///a has an empty place
    if any(each in {"", ".", ".."} for each in segments):
        raise InvalidInputError(field, uri, allowed)
    return plain.rstrip("/")
