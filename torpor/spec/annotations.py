"""Torpor's own annotations: what cannot be read is refused by the API, for later somebody would have to guess."""

from __future__ import annotations

from collections.abc import Callable

from torpor.errors import InvalidInputError
from torpor.spec import names, waiting
from torpor.spec.access import parse_access
from torpor.spec.fields import Fields
from torpor.spec.keepalive import parse_keep_alive
from torpor.spec.mirror import parse_mirror
from torpor.spec.scalemetric import parse_scale_metric
from torpor.spec.schedule import parse_schedule
from torpor.spec.session import parse_affinity


def check_revision(metadata: Fields) -> None:
    """Raise InvalidInputError for the first annotation of a Revision, or a template for one, that cannot be read."""
    annotations, path = metadata.text_map("annotations"), metadata.at("annotations")
    waiting.check(annotations, path)
    for name, parse in _OF_A_REVISION.items():
        if name in annotations:
            parse(f"{path}[{name}]", annotations[name])


def check_route(metadata: Fields) -> None:
    """Likewise for a Route, and for what one is made from."""
    annotations, path = metadata.text_map("annotations"), metadata.at("annotations")
    if names.MIRROR in annotations:
        parse_mirror(f"{path}[{names.MIRROR}]", annotations[names.MIRROR])
    check_access(metadata)


def check_no_lock(metadata: Fields) -> None:
    """Refuse a policy of access where it would lock nothing, and look as if it did."""
    annotations, path = metadata.text_map("annotations"), metadata.at("annotations")
    if names.ACCESS in annotations:
        allowed = "put it under the metadata.annotations of the service itself: it has no effect here"
        raise InvalidInputError(f"{path}[{names.ACCESS}]", annotations[names.ACCESS], allowed)


def check_access(metadata: Fields) -> None:
    """Likewise for what may have a policy of access: a Namespace too."""
    annotations, path = metadata.text_map("annotations"), metadata.at("annotations")
    if names.ACCESS in annotations:
        parse_access(f"{path}[{names.ACCESS}]", annotations[names.ACCESS])


_OF_A_REVISION: dict[str, Callable[[str, str], object]] = {
    names.SESSION_AFFINITY: parse_affinity,
    names.KEEP_ALIVE: parse_keep_alive,
    names.SCALE_METRIC: parse_scale_metric,
    names.SCHEDULE: parse_schedule,
}
