"""Torpor's own annotations: what cannot be read is refused by the API, for later somebody would have to guess."""

from __future__ import annotations

from torpor.spec import names, waiting
from torpor.spec.fields import Fields
from torpor.spec.mirror import parse_mirror
from torpor.spec.session import parse_affinity


def check_revision(metadata: Fields) -> None:
    """Raise InvalidInputError for the first annotation of a Revision, or a template for one, that cannot be read."""
    annotations, path = metadata.text_map("annotations"), metadata.at("annotations")
    waiting.check(annotations, path)
    if names.SESSION_AFFINITY in annotations:
        parse_affinity(f"{path}[{names.SESSION_AFFINITY}]", annotations[names.SESSION_AFFINITY])


def check_route(metadata: Fields) -> None:
    """Likewise for a Route, and for what one is made from."""
    annotations, path = metadata.text_map("annotations"), metadata.at("annotations")
    if names.MIRROR in annotations:
        parse_mirror(f"{path}[{names.MIRROR}]", annotations[names.MIRROR])
