"""Is what there is what is wanted, whatever the API or others added to it? Pure."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def covers(there: Any, wanted: Any) -> bool:
    """Tell whether every field that is wanted is there with its value; lists must be equally long."""
    if isinstance(wanted, dict):
        return isinstance(there, dict) and all(key in there and covers(there[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return (
            isinstance(there, list)
            and len(there) == len(wanted)
            and all(covers(mine, theirs) for mine, theirs in zip(there, wanted, strict=True))
        )
    return bool(there == wanted)


def digest(wanted: Any) -> str:
    """Return a short digest of JSON, for objects whose fields the API rewrites ("1000m" becomes "1")."""
    return hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:16]
