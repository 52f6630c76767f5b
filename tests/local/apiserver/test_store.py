"""The store against a dictionary, through restarts; and what it forgets."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from torpor.local.apiserver.store import ExpiredError, Store
from torpor.spec.kinds import CONFIG_MAP, SECRET, Kind, Object

KINDS = (CONFIG_MAP, SECRET)
HISTORY = 8


def opened(path: Path, history: int = HISTORY) -> Store:
    return Store(path, KINDS, lambda _kind, obj: {"metadata.name": obj["metadata"]["name"]}, history=history)


def make(name: str, *, uid: str = "", owner: str = "", **labels: str) -> Object:
    metadata: Object = {"name": name, "namespace": "n", "uid": uid or str(uuid.uuid4()), "labels": labels}
    if owner:
        metadata["ownerReferences"] = [{"uid": owner}]
    return {"metadata": metadata}


class Model(RuleBasedStateMachine):
    """Writes and removals in any order, with restarts in between: the store is a dictionary with a history."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "state.db"
        self.store = opened(self.path)
        self.dead: list[Store] = []
        self.objects: dict[tuple[Kind, str], Object] = {}
        self.changes: dict[Kind, list[tuple[int, str, str]]] = {kind: [] for kind in KINDS}
        self.version = 0

    def teardown(self) -> None:
        if hasattr(self, "store"):
            for store in (self.store, *self.dead):
                store.close()
            self.folder.cleanup()

    @rule(kind=st.sampled_from(KINDS), name=st.sampled_from("abc"), colour=st.sampled_from(["red", "blue"]))
    def write(self, kind: Kind, name: str, colour: str) -> None:
        known = self.objects.get((kind, name))
        obj = make(name, uid=known["metadata"]["uid"] if known else "", colour=colour)
        stored = self.store.write(kind, obj)
        assert stored.version > self.version, "versions only grow"
        self.version = stored.version
        self.objects[kind, name] = obj
        self.changes[kind].append((stored.version, "ADDED" if known is None else "MODIFIED", name))

    @rule(kind=st.sampled_from(KINDS), name=st.sampled_from("abc"))
    def remove(self, kind: Kind, name: str) -> None:
        obj = self.objects.pop((kind, name), None)
        if obj is not None:
            self.version = self.store.remove(kind, obj).version
            self.changes[kind].append((self.version, "DELETED", name))

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = opened(self.path)

    @rule()
    def be_killed(self) -> None:
        """Another process opens the file; nothing was folded or closed."""
        self.dead.append(self.store)
        self.store = opened(self.path)

    @invariant()
    def it_holds_what_the_dictionary_holds(self) -> None:
        if not hasattr(self, "store"):
            return
        assert self.store.version == self.version
        for kind in KINDS:
            held = {stored.name: stored.object() for stored in self.store.items(kind, "n")}
            assert held == {name: obj for (of, name), obj in self.objects.items() if of == kind}
            for stored in self.store.items(kind):
                assert self.store.by_uid(stored.uid) == stored
                assert stored.traits.labels == stored.object()["metadata"]["labels"]

    @invariant()
    def it_tells_every_change_that_it_remembers(self) -> None:
        if not hasattr(self, "store"):
            return
        for kind in KINDS:
            kept = self.changes[kind][-HISTORY:]
            forgotten = self.store.forgotten(kind)
            assert forgotten == (self.changes[kind][-HISTORY - 1][0] if len(self.changes[kind]) > HISTORY else 0)
            for after in {forgotten, self.version, *(version for version, _, _ in kept)}:
                told = [(each.stored.version, each.type, each.stored.name) for each in self.store.changes(kind, after)]
                assert told == [change for change in kept if change[0] > after]


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with contextlib.closing(opened(tmp_path / "state.db")) as found:
        yield found


def test_what_is_forgotten_is_said(store: Store) -> None:
    """From an older version nobody can tell all that changed."""
    first = store.write(CONFIG_MAP, make("a", uid="u")).version
    for _ in range(HISTORY):
        store.write(CONFIG_MAP, make("a", uid="u"))
    with pytest.raises(ExpiredError, match=rf"too old resource version: {first - 1}"):
        store.changes(CONFIG_MAP, first - 1)
    assert len(store.changes(CONFIG_MAP, first)) == HISTORY
    assert store.changes(SECRET, 0) == []  # of each kind by itself


def test_large_objects_push_out_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded by bytes as well as by number."""
    monkeypatch.setattr("torpor.local.apiserver.store.store.HISTORY_BYTES", 3000)
    with contextlib.closing(opened(tmp_path / "state.db", 1000)) as store:
        for number in range(10):
            store.write(CONFIG_MAP, make("a", uid="u", x="y" * 900, number=str(number)))
        kept = store.changes(CONFIG_MAP, store.forgotten(CONFIG_MAP))
        assert [change.stored.traits.labels["number"] for change in kept] == ["8", "9"]


def test_dependents_are_known_by_their_owner(store: Store) -> None:
    """Also after they changed hands, or went."""
    store.write(CONFIG_MAP, make("a", uid="a", owner="one"))
    store.write(SECRET, make("b", uid="b", owner="one"))
    assert [stored.name for stored in store.dependents("one")] == ["a", "b"]
    moved = make("a", uid="a", owner="two")
    store.write(CONFIG_MAP, moved)
    assert [stored.name for stored in store.dependents("one")] == ["b"]
    store.remove(CONFIG_MAP, moved)
    assert store.dependents("two") == []


async def test_watchers_are_woken_by_their_kind(store: Store) -> None:
    """And by no other; who has left is not."""
    with store.watching(CONFIG_MAP) as maps, store.watching(SECRET) as secrets:
        store.write(CONFIG_MAP, make("a"))
        assert (maps.is_set(), secrets.is_set()) == (True, False)
        store.wake_watchers()
        assert secrets.is_set()
    maps.clear()
    store.write(CONFIG_MAP, make("b"))
    assert not maps.is_set()


async def test_the_log_is_folded_into_the_file(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a thread, so that nobody waits for the disk; afterwards the log begins anew."""
    monkeypatch.setattr("torpor.local.apiserver.store.store.CHECKPOINT_EVERY", 5)
    folded = asyncio.Event()
    checkpoint = store._journal.checkpoint

    def fold() -> None:
        checkpoint()
        loop.call_soon_threadsafe(folded.set)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(store._journal, "checkpoint", fold)
    before = (tmp_path / "state.db").stat().st_size
    for number in range(50):
        store.write(CONFIG_MAP, make(f"n{number}", x="y" * 1000))
    task = asyncio.ensure_future(store.fold())
    async with asyncio.timeout(20):
        await folded.wait()
    task.cancel()
    assert (tmp_path / "state.db").stat().st_size > before


def test_a_write_that_fails_changes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory follows the file: where that refuses, nobody sees the change."""
    store.write(CONFIG_MAP, make("a", uid="a", x="1"))
    before = (store.version, store.items(CONFIG_MAP), store.changes(CONFIG_MAP, 0))

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(store._journal, "write", full)
    for change in (lambda: store.write(CONFIG_MAP, make("b")), lambda: store.remove(CONFIG_MAP, make("a", uid="a"))):
        with pytest.raises(OSError, match="disk full"):
            change()
    assert (store.version, store.items(CONFIG_MAP), store.changes(CONFIG_MAP, 0)) == before
