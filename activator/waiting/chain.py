"""Which revisions are woken with one: those that its requests go on to, and those that theirs go on to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from activator.throttle.report import RevisionKey


def woken_with(
    first: RevisionKey,
    wakes: Callable[[RevisionKey], Iterable[str]],
    leads_to: Callable[[str, str], Iterable[RevisionKey]],
) -> Iterator[RevisionKey]:
    """Yield each of them once, the nearest first, whether they go in circles or not.

    `wakes` gives the services that a revision names, `leads_to` the revisions that a service's requests go to.
    """
    seen, nearest = {first}, [first]
    for revision in nearest:  # grows while it is walked
        for service in wakes(revision):
            for other in leads_to(revision[0], service):
                if other not in seen:
                    seen.add(other)
                    nearest.append(other)
                    yield other
