"""Where models lie: the schemes of a `storageUri` that KServe has, and which of them are offered here."""

from __future__ import annotations

from torpor.errors import InvalidInputError

OFFERED = ("file", "pvc", "s3")
"""Those that `predictor.storage` reads."""
KSERVES = (
    *OFFERED,
    "gs",
    "hdfs",
    "hf",
    "http",
    "https",
    "modelscope",
    "oci",
    "oci+fetch",
    "oci+native",
    "webhdfs",
)
"""Those that KServe takes: a manifest with one of them is right, whether it can be served here or not."""


class NotOfferedError(InvalidInputError):
    """KServe has it, and Torpor does not yet."""


def check_uri(field: str, uri: str) -> None:
    """Refuse a URI that nothing can read; raises NotOfferedError where KServe could."""
    scheme, mark, _ = uri.partition("://")
    scheme = scheme.lower()
    allowed = f"use {', '.join(f'{each}://' for each in OFFERED)} or an absolute path"
    if mark and scheme in KSERVES and scheme not in OFFERED:
        raise NotOfferedError(field, uri, f"Torpor does not offer {scheme}:// yet; {allowed}")
    known = scheme in OFFERED if mark else uri.startswith("/")
    if not known:
        raise InvalidInputError(field, uri, allowed)
