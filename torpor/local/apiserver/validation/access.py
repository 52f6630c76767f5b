"""What is said about policies of access, and what they name: a mistake in a lock is told to who makes it."""

from __future__ import annotations

from collections.abc import Callable

from torpor.errors import InvalidInputError
from torpor.local.apiserver.status import denied
from torpor.spec import apikeys, issuers, names
from torpor.spec.annotations import check_access
from torpor.spec.cluster import ClusterWide
from torpor.spec.fields import Fields
from torpor.spec.kinds import Object

WEBHOOK = "access.torpor.dev"


def admit_namespace(new: Object, old: Object | None, _cluster: ClusterWide) -> None:
    """Refuse a policy that cannot be read."""
    _check(new, old, "annotations", lambda: check_access(Fields(new).object("metadata")))


def admit_secret(new: Object, old: Object | None, _cluster: ClusterWide) -> None:
    """Refuse entries that are no keys, where it is labelled as a Secret of keys."""

    def parse() -> None:
        for id_, raw in (new.get("data") or {}).items():
            apikeys.read_entry(id_, raw)

    if _label(new) == apikeys.LABEL:
        _check(new, old, "labels", parse)


def admit_config_map(new: Object, old: Object | None, _cluster: ClusterWide) -> None:
    """Refuse what says nothing of an issuer, where it is labelled so."""

    def parse() -> None:
        issuers.parse_issuer(new.get("data") or {})

    if _label(new) == issuers.LABEL:
        _check(new, old, "labels", parse)


def _check(new: Object, old: Object | None, what: str, parse: Callable[[], None]) -> None:
    same = old is not None and old.get("data") == new.get("data") and _of(old, what) == _of(new, what)
    if same or new["metadata"].get("deletionTimestamp"):
        return  # what was accepted once stays, and can always be deleted
    try:
        parse()
    except InvalidInputError as error:
        raise denied(WEBHOOK, str(error)) from error


def _of(obj: Object, what: str) -> object:
    return obj["metadata"].get(what)


def _label(obj: Object) -> object:
    return (obj["metadata"].get("labels") or {}).get(names.ACCESS)
