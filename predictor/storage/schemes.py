"""Which scheme a URI has. A further scheme is one file beside this one and one row here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from predictor.storage import local, pvc
from predictor.storage.place import Place
from predictor.storage.settings import StorageSettings
from torpor.errors import InvalidInputError


def place(uri: str, settings: StorageSettings) -> Place:
    """Return where `uri` points, without looking there; raises InvalidInputError that lists the schemes."""
    scheme, mark, _ = uri.partition("://")
    if not mark and uri.startswith("/"):
        return local.plain(uri)
    known = SCHEMES.get(scheme.lower()) if mark else None
    if known is None:
        allowed = ", ".join(f"{each}://" for each in SCHEMES)
        raise InvalidInputError("storageUri", uri, f"use one of {allowed} or an absolute path")
    return known(scheme.lower() + uri[len(scheme) :], settings)


def _s3(uri: str, settings: StorageSettings) -> Place:
    from predictor.storage import s3  # boto3 takes a third of a second, which only its users shall pay

    return s3.place(uri, settings.s3)


SCHEMES: Mapping[str, Callable[[str, StorageSettings], Place]] = {
    "file": lambda uri, _: local.file(uri),
    "pvc": lambda uri, settings: pvc.pvc(uri, settings.pvc_root),
    "s3": _s3,
}
