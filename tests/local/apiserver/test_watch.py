"""Watches: nothing is missed, nothing comes twice, and who asks for what is forgotten is told so."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import orjson
import pytest

from tests.local.apiserver.conftest import HISTORY
from tests.local.apiserver.objects import box, make
from tests.local.apiserver.server import Api
from torpor.spec.kinds import CONFIG_MAP, LEASE, SECRET, Object


def told(events: Iterator[Object], count: int) -> list[tuple[str, str]]:
    return [_told(next(events)) for _ in range(count)]


def _told(event: Object) -> tuple[str, str]:
    return event["type"], event["object"]["metadata"].get("name", "")


def version(api: Api, namespace: str) -> str:
    found: str = api.get(CONFIG_MAP, "", namespace)["metadata"]["resourceVersion"]
    return found


def test_from_a_list_on(api: Api, namespace: str) -> None:
    """Each change once, in order, with the object as it was then; also those made before the watch began."""
    start = version(api, namespace)
    created = api.create(CONFIG_MAP, box("a", namespace), namespace)
    with api.watch(CONFIG_MAP, namespace, resourceVersion=start) as events:
        assert next(events) == {"type": "ADDED", "object": created}
        changed = api.patch(CONFIG_MAP, "a", {"data": {"a": "2"}}, "merge", namespace)
        assert next(events) == {"type": "MODIFIED", "object": changed}
        api.create(SECRET, make(SECRET, "other", namespace), namespace)
        api.delete(CONFIG_MAP, "a", namespace)
        last = next(events)
    assert (last["type"], last["object"]["data"]) == ("DELETED", {"a": "2"})
    assert int(last["object"]["metadata"]["resourceVersion"]) > int(changed["metadata"]["resourceVersion"])


def test_from_nowhere_on(api: Api, namespace: str) -> None:
    """Without a version, what there is comes first."""
    api.create(CONFIG_MAP, box("a", namespace), namespace)
    with api.watch(CONFIG_MAP, namespace) as events:
        assert told(events, 1) == [("ADDED", "a")]
        api.create(CONFIG_MAP, box("b", namespace), namespace)
        assert told(events, 1) == [("ADDED", "b")]


def test_a_list_as_a_watch(api: Api, namespace: str) -> None:
    """`sendInitialEvents`: what there is, and then a bookmark that says that this was all."""
    for name in ("a", "b"):
        api.create(CONFIG_MAP, box(name, namespace), namespace)
    query = {"sendInitialEvents": "true", "allowWatchBookmarks": "true", "resourceVersionMatch": "NotOlderThan"}
    with api.watch(CONFIG_MAP, namespace, resourceVersion="1", **query) as events:
        assert told(events, 2) == [("ADDED", "a"), ("ADDED", "b")]
        end = next(events)
    assert end["type"] == "BOOKMARK"
    assert end["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert int(end["object"]["metadata"]["resourceVersion"]) >= int(version(api, namespace))


def test_coming_into_view_and_leaving_it(api: Api, namespace: str) -> None:
    """To who watches by a label, an object that gets it is added, one that loses it deleted."""
    api.create(CONFIG_MAP, box("a", namespace), namespace)
    with api.watch(CONFIG_MAP, namespace, labelSelector="seen=yes") as events:
        for index, value in enumerate(("yes", "yes", "no", "yes")):
            change = {"metadata": {"labels": {"seen": value}}, "data": {"a": str(index)}}
            api.patch(CONFIG_MAP, "a", change, "merge", namespace)
        api.delete(CONFIG_MAP, "a", namespace)
        types = [type_ for type_, _ in told(events, 5)]
    assert types == ["ADDED", "MODIFIED", "DELETED", "ADDED", "DELETED"]


def test_one_object(api: Api, namespace: str) -> None:
    """By its name, and by the old path of a watch."""
    for name in ("a", "b"):
        api.create(CONFIG_MAP, box(name, namespace), namespace)
    with api.watch(CONFIG_MAP, namespace, fieldSelector="metadata.name=b") as events:
        assert told(events, 1) == [("ADDED", "b")]
    path = f"/api/v1/watch/namespaces/{namespace}/configmaps/b"
    with api.http.stream("GET", path) as answer:
        lines = answer.iter_lines()
        assert '"name":"b"' in next(lines)
        api.delete(CONFIG_MAP, "a", namespace)
        api.delete(CONFIG_MAP, "b", namespace)
        assert '"DELETED"' in next(lines)


def test_a_watch_ends_when_its_time_is_over(api: Api, namespace: str) -> None:
    """With a bookmark from which the next one goes on."""
    start = version(api, namespace)
    api.create(SECRET, make(SECRET, "other", namespace), namespace)
    query = {"resourceVersion": start, "timeoutSeconds": 1, "allowWatchBookmarks": "true"}
    with api.watch(CONFIG_MAP, namespace, **query) as events:
        [bookmark] = events
    assert (bookmark["type"], bookmark["object"]["kind"]) == ("BOOKMARK", "ConfigMap")
    # Other kinds' changes count too: a quiet kind does not fall behind.
    assert int(bookmark["object"]["metadata"]["resourceVersion"]) > int(start)


def test_without_bookmarks_there_are_none(api: Api, namespace: str) -> None:
    """A client that did not ask does not know them."""
    with api.watch(CONFIG_MAP, namespace, resourceVersion=version(api, namespace), timeoutSeconds=1) as events:
        assert list(events) == []


def test_too_old_a_version_is_said(api: Api, namespace: str) -> None:
    """410, before anything is told: the client lists again."""
    start = version(api, namespace)
    api.create(LEASE, make(LEASE, "a", namespace), namespace)
    for index in range(HISTORY + 1):
        api.patch(LEASE, "a", {"spec": {"leaseTransitions": index}}, "merge", namespace)
    refused = api.get(LEASE, "", namespace, watch="true", resourceVersion=start, code=410)
    assert (refused["reason"], refused["kind"]) == ("Expired", "Status")
    assert "too old resource version" in refused["message"]


def test_a_version_of_the_future_is_too(api: Api, namespace: str) -> None:
    """After the data directory was replaced by an older one: only a list helps."""
    assert api.get(LEASE, "", namespace, watch="true", resourceVersion="99999999", code=410)["reason"] == "Expired"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        pytest.param("application/json;as=Table;v=v1;g=meta.k8s.io", "Table", id="rows"),
        pytest.param(
            "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", "PartialObjectMetadata", id="metadata"
        ),
    ],
)
def test_in_other_forms(api: Api, namespace: str, accept: str, kind: str) -> None:
    """`kubectl get --watch` wants rows; the columns come once."""
    api.create(CONFIG_MAP, box("a", namespace), namespace)
    api.create(CONFIG_MAP, box("b", namespace), namespace)
    query, headers = {"watch": "true"}, {"Accept": accept}
    with api.http.stream("GET", CONFIG_MAP.path(namespace), params=query, headers=headers) as answer:
        lines = [orjson.loads(line) for line in itertools.islice(answer.iter_lines(), 2)]
    assert [line["object"]["kind"] for line in lines] == [kind, kind]
    if kind == "Table":
        assert [bool(line["object"]["columnDefinitions"]) for line in lines] == [True, False]
        assert [line["object"]["rows"][0]["cells"][0] for line in lines] == ["a", "b"]


def test_many_watchers_hear_the_same(api: Api, namespace: str) -> None:
    """Twenty at once, nearly as many changes as are kept: each hears all of them in order."""
    count, watchers = HISTORY - 20, 20
    heard: list[list[str]] = [[] for _ in range(watchers)]
    ready = threading.Barrier(watchers + 1)
    start = version(api, namespace)

    def listen(mine: list[str]) -> None:
        with api.watch(CONFIG_MAP, namespace, resourceVersion=start) as events:
            ready.wait(20)
            mine += [next(events)["object"]["metadata"]["name"] for _ in range(count)]

    threads = [threading.Thread(target=listen, args=(mine,), daemon=True) for mine in heard]
    for thread in threads:
        thread.start()
    ready.wait(20)
    names = [f"n{index:03}" for index in range(count)]
    for name in names:
        api.create(CONFIG_MAP, box(name, namespace), namespace)
    for thread in threads:
        thread.join(30)
    assert heard == [names] * watchers


def test_who_hangs_up_is_let_go(api: Api, namespace: str) -> None:
    """A watch that nobody reads ends; the server goes on."""
    for _ in range(30):
        with api.watch(CONFIG_MAP, namespace, resourceVersion=version(api, namespace)):
            pass
    api.create(CONFIG_MAP, box("after", namespace), namespace)
    assert api.names(CONFIG_MAP, namespace) == ["after"]
