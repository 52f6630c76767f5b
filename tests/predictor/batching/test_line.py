"""Who is executed next: by priority, by likeness, in order of arrival; nobody twice, nobody never."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from predictor.batching.line import Entry, Line
from predictor.batching.options import Batching, QueuePolicy
from torpor.errors import QueueFullError


def entry(name: str, *, rows: int = 1, key: str | None = "k", level: int = 0, since_s: float = 0.0) -> Entry[str]:
    return Entry(name, rows, key, level, since_s)


def line(batching: Batching, *entries: Entry[str]) -> Line[str]:
    made: Line[str] = Line(batching)
    for each in entries:
        made.add(each)
    return made


def taken(from_: Line[str], now_s: float = 0.0) -> str:
    """All batches that can be taken now, as words."""
    batches = iter(lambda: from_.take(now_s), [])
    return " ".join("".join(each.what for each in batch) for batch in batches)


@pytest.mark.parametrize(
    ("batching", "entries", "order"),
    [
        pytest.param(Batching(2), "abcde", "ab cd e", id="in order"),
        pytest.param(Batching(1), "abc", "a b c", id="one at a time"),
        pytest.param(Batching(4), "aBcDe", "ace BD", id="with their like"),
        pytest.param(Batching(4), "a-b-", "ab - -", id="what fits nobody is alone"),
        pytest.param(Batching(2, levels=3, default_level=2), "a3b1c2", "bc a", id="the highest priority is first"),
        pytest.param(Batching(4, levels=2), "a2B1c1", "B ca", id="and brings its like along"),
    ],
)
def test_order(batching: Batching, entries: str, order: str) -> None:
    """A letter is a request, its case the key, a digit after it its level."""
    found: Line[str] = Line(batching)
    for index, name in enumerate(entries):
        if not name.isdigit():
            digit = entries[index + 1 : index + 2]
            key = None if name == "-" else "upper" if name.isupper() else "lower"
            level = batching.level(int(digit) if digit.isdigit() else 0)
            found.add(entry(name, key=key, level=level))
    assert taken(found) == order
    assert len(found) == 0


def test_whoever_goes_is_not_executed() -> None:
    entries = [entry(name) for name in "abc"]
    found = line(Batching(8), *entries)
    assert found.drop(entries[1])
    assert not found.drop(entries[1])
    assert taken(found) == "ac"
    assert not found.drop(entries[0])


def test_one_whose_time_is_over_comes_last() -> None:
    """After those that came later, of lower priority too; and its place in the queue is still taken."""
    batching = Batching(1, levels=2, policy=QueuePolicy(delays=True, max_size=2))
    first, second, third = entry("a", level=1), entry("b", level=1), entry("c", level=2)
    found = line(batching, first, second, third)
    assert found.delay(first)
    with pytest.raises(QueueFullError, match="2 requests wait"):
        found.add(entry("d", level=1))
    assert taken(found) == "b c a"


def test_each_level_has_its_own_limit() -> None:
    batching = Batching(1, levels=2, policy=QueuePolicy(max_size=1), policies={2: QueuePolicy(max_size=2)})
    found = line(batching, entry("a", level=1), entry("b", level=2), entry("c", level=2))
    for level in (1, 2):
        with pytest.raises(QueueFullError):
            found.add(entry("d", level=level))
    assert len(found) == 3


def test_how_long_to_wait() -> None:
    """Until the oldest has waited long enough; not at all for those who cannot grow."""
    found: Line[str] = Line(Batching(4, delay_s=1.0))
    assert found.wait_s(0.0) is None
    found.add(entry("a", since_s=5.0))
    assert found.wait_s(5.25) == 0.75
    found.add(entry("b", since_s=5.5))
    assert found.wait_s(5.5) == 0.5
    found.add(entry("C", key="other", since_s=5.5))
    assert found.wait_s(5.5) == 0.0
    assert taken(found, 5.5) == "ab"
    assert found.wait_s(5.75) == 0.75
    assert taken(found, 6.5) == "C"


def test_a_delay_is_that_of_the_oldest_whatever_its_priority() -> None:
    """Those who are more important are first, and make nobody wait for longer."""
    found: Line[str] = Line(Batching(4, delay_s=1.0, levels=2))
    found.add(entry("low", level=2, since_s=0.0))
    found.add(entry("high", level=1, since_s=0.75))
    assert found.wait_s(0.75) == 0.25
    assert taken(found, 0.75) == ""
    assert taken(found, 1.0) == "highlow"


@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from("xy"), st.integers(0, 3)), max_size=40))
def test_everybody_is_executed_once_in_order_of_their_kind(requests: list[tuple[int, str, int]]) -> None:
    batching = Batching(4, levels=2, default_level=1)
    entries = [
        entry(str(index), rows=rows, key=key, level=batching.level(level))
        for index, (rows, key, level) in enumerate(requests)
    ]
    found = line(batching, *entries)
    order = [each for batch in iter(lambda: found.take(0.0), []) for each in batch]
    assert sorted(each.number for each in order) == [each.number for each in entries]
    for level in (1, 2):
        for key in "xy":
            numbers = [each.number for each in order if each.level == level and each.key == key]
            assert numbers == sorted(numbers)


class Waiting(RuleBasedStateMachine):
    """Requests come, go, are put off, and are taken: the line agrees with a plain list of who waits."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.line: Line[str] = Line(Batching(4, levels=2, default_level=2, delay_s=1.0, policy=QueuePolicy(max_size=5)))
        self.there: list[Entry[str]] = []

    @rule(rows=st.integers(1, 5), key=st.sampled_from(["x", "y", None]), level=st.integers(1, 2))
    def come(self, rows: int, key: str | None, level: int) -> None:
        new = entry("n", rows=rows, key=key, level=level, since_s=self.now_s)
        if sum(each.level == level for each in self.there) >= 5:
            with pytest.raises(QueueFullError):
                self.line.add(new)
        else:
            self.line.add(new)
            self.there.append(new)

    @precondition(lambda self: self.there)
    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        gone = data.draw(st.sampled_from(self.there))
        assert self.line.drop(gone)
        self.there.remove(gone)

    @precondition(lambda self: self.there)
    @rule(data=st.data())
    def put_off(self, data: st.DataObject) -> None:
        assert self.line.delay(data.draw(st.sampled_from(self.there)))

    @rule(seconds=st.sampled_from([0.0, 0.3, 1.0]))
    def take(self, seconds: float) -> None:
        self.now_s += seconds
        wait_s = self.line.wait_s(self.now_s)
        batch = self.line.take(self.now_s)
        assert bool(batch) == (wait_s == 0.0)
        assert len({each.key for each in batch}) <= 1
        for each in batch:
            self.there.remove(each)
        if batch:
            assert len(batch) == 1 or (sum(each.rows for each in batch) <= 4 and batch[0].key is not None)

    @invariant()
    def agree(self) -> None:
        assert len(self.line) == len(self.there)
        assert (self.line.wait_s(self.now_s) is None) == (not self.there)


TestWaiting = Waiting.TestCase
