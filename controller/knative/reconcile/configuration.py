"""A Configuration: a Revision for every generation of its template, and which of them is ready. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from controller.knative.reconcile import garbage
from controller.knative.reconcile.child import observed
from controller.knative.resources import revision as resources
from controller.knative.resources.metadata import labels_of
from controller.knative.resources.revision import generation_of
from controller.options import Options
from controller.ownership import is_controlled_by
from controller.plan import NOTHING, Note, Plan, Write, delete_of, status_change
from torpor.errors import InvalidInputError
from torpor.spec import conditions, names
from torpor.spec.cluster import ClusterWide
from torpor.spec.conditions import TRUE, Mark, failed, unknown
from torpor.spec.fields import Fields
from torpor.spec.kinds import REVISION, Object
from torpor.spec.service import parse_template

REVISION_FAILED = "RevisionFailed"
NOT_CREATED = "Revision creation failed with message: "


@dataclass(frozen=True, slots=True)
class Seen:
    """The Configuration's revisions, and who has the name of the next."""

    revisions: tuple[Object, ...] = ()
    namesake: Object | None = None
    """The Revision called as the template's would be, whoever made it."""


def reconcile(configuration: Object, seen: Seen, options: Options, now: str) -> Plan:
    """Return what makes the generation's Revision, tells how it fares, and takes away those long out of use."""
    latest = _latest(configuration, seen, options.cluster, now)
    ready = _latest_ready(configuration, seen.revisions)
    status = _status(configuration, latest.name, ready, latest.mark, now)
    unused = garbage.unused(seen.revisions, keep={latest.name, ready}, now=now)
    plan = latest.plan + Plan(deletes=tuple(delete_of(REVISION, revision) for revision in unused))
    return plan.with_status(status_change(configuration, status), *_news(configuration, ready, latest))


@dataclass(frozen=True, slots=True)
class _Latest:
    """The Revision of the current generation: its name where it exists or will, and how it fares."""

    name: str | None
    mark: Mark
    plan: Plan = NOTHING


def _latest(configuration: Object, seen: Seen, cluster: ClusterWide, now: str) -> _Latest:
    generation = str(configuration["metadata"]["generation"])
    for revision in seen.revisions:
        if labels_of(revision).get(names.CONFIGURATION_GENERATION) == generation:
            return _fares(revision)
    if seen.namesake is not None and _was_taken_back(configuration, seen.namesake):
        return _fares(seen.namesake)
    try:
        parse_template(Fields(configuration).object("spec"), owner=configuration["metadata"]["name"], cluster=cluster)
    except InvalidInputError as error:
        return _Latest(None, _not_created(str(error)))
    wanted = resources.revision(configuration, now, cluster.revisions)
    if seen.namesake is None:
        name = wanted["metadata"]["name"]
        note = Note("Normal", "Created", f'Created Revision "{name}"')
        return _Latest(name, unknown(""), Plan(creates=(Write(REVISION, wanted),), notes=(note,)))
    if is_controlled_by(seen.namesake, configuration) and seen.namesake.get("spec") == wanted["spec"]:
        # Back to a template of before, under its name: the same revision again.
        return _fares(seen.namesake)
    taken = f'revisions.serving.knative.dev "{wanted["metadata"]["name"]}" already exists'
    return _Latest(None, _not_created(taken))


def _was_taken_back(configuration: Object, namesake: Object) -> bool:
    """Tell whether this generation has found its revision before: new defaults of the cluster are no matter."""
    before = observed(configuration)
    return (
        before.get("observedGeneration") == configuration["metadata"]["generation"]
        and before.get("latestCreatedRevisionName") == namesake["metadata"]["name"]
        and is_controlled_by(namesake, configuration)
        and not _failed_to_create(before)
    )


def _failed_to_create(before: Object) -> bool:
    ready = conditions.read({"status": before}, conditions.READY)
    return ready is not None and ready.is_false and ready.message.startswith(NOT_CREATED)


def _not_created(why: str) -> Mark:
    return failed(REVISION_FAILED, f"{NOT_CREATED}{why}.")


def _fares(revision: Object) -> _Latest:
    name = revision["metadata"]["name"]
    mark = conditions.read(revision, conditions.READY) or unknown("")
    if mark.is_true:
        return _Latest(name, TRUE)
    if mark.is_false:
        return _Latest(name, failed(REVISION_FAILED, f'Revision "{name}" failed with message: {mark.message}.'))
    return _Latest(name, unknown(""))


def _latest_ready(configuration: Object, revisions: Iterable[Object]) -> str | None:
    """Return the newest revision that is ready; one older than that of before only if that one is gone."""
    by_name = {revision["metadata"]["name"]: revision for revision in revisions}
    before = by_name.get(observed(configuration).get("latestReadyRevisionName") or "")
    oldest = generation_of(before) if before is not None else 0
    newest_first = sorted(by_name.values(), key=generation_of, reverse=True)
    for revision in newest_first:
        ready = conditions.read(revision, conditions.READY)
        if ready is not None and ready.is_true and generation_of(revision) >= oldest:
            return str(revision["metadata"]["name"])
    return None if before is None else str(before["metadata"]["name"])


def _status(configuration: Object, latest: str | None, ready: str | None, mark: Mark, now: str) -> Object:
    before = observed(configuration)
    created = latest or before.get("latestCreatedRevisionName")
    return {
        "observedGeneration": configuration["metadata"]["generation"],
        "conditions": conditions.write(before.get("conditions") or (), now, terminal={}, ready=mark),
        **({"latestCreatedRevisionName": created} if created else {}),
        **({"latestReadyRevisionName": ready} if ready else {}),
    }


def _news(configuration: Object, ready: str | None, latest: _Latest) -> tuple[Note, ...]:
    """Return what is worth telling: it became ready, another revision is the ready one, the new one failed."""
    before = conditions.read(configuration, conditions.READY)
    notes = []
    had = observed(configuration).get("latestReadyRevisionName")
    if ready and not had:
        notes.append(Note("Normal", "ConfigurationReady", "Configuration becomes ready"))
    if ready and ready != had:
        notes.append(Note("Normal", "LatestReadyUpdate", f'LatestReadyRevisionName updated to "{ready}"'))
    if latest.name and latest.mark.is_false and (before is None or not before.is_false):
        notes.append(Note("Warning", "LatestCreatedFailed", f'Latest created revision "{latest.name}" has failed'))
    return tuple(notes)
