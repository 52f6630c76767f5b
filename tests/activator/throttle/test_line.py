"""Who is next: fair between clients, in order for each, the urgent before the rest."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from activator.throttle.line import BATCH_SHARE, Client, Line, Priority, Ticket

ONE, OTHER = Client(b"192.0.2.1"), Client(b"192.0.2.2")


def ticket(client: Client = ONE, priority: Priority = Priority.INTERACTIVE) -> Ticket:
    return Ticket(client, priority)


def line_of(*waiters: tuple[str, Ticket]) -> Line[str]:
    line: Line[str] = Line()
    for name, brought in waiters:
        line.push(name, brought)
    return line


def drained(line: Line[str]) -> list[str]:
    return [line.pop() for _ in range(len(line))]


def test_one_client_is_served_in_the_order_in_which_it_asked() -> None:
    """First come, first served."""
    names = [f"{number}" for number in range(50)]
    assert drained(line_of(*((name, ticket()) for name in names))) == names


def test_a_client_with_thousands_of_requests_does_not_hold_up_anothers_one() -> None:
    """It has its turn after at most one of theirs."""
    line = line_of(*((f"one-{number}", ticket(ONE)) for number in range(9000)), ("other", ticket(OTHER)))
    assert drained(line)[:3] == ["one-0", "other", "one-1"]


def test_clients_of_one_address_are_told_apart_by_their_credentials() -> None:
    """Behind a load balancer everybody has its address."""
    first, second = Client(b"192.0.2.9", b"Bearer a"), Client(b"192.0.2.9", b"Bearer b")
    line = line_of(*((f"a{number}", ticket(first)) for number in range(3)), ("b0", ticket(second)))
    assert drained(line) == ["a0", "b0", "a1", "a2"]


def test_who_invents_credentials_gains_nothing_on_other_addresses() -> None:
    """Half of the turns are the honest client's, however many names the other has."""
    line = line_of(
        *((f"sly-{number}", ticket(Client(ONE.address, b"%d" % number))) for number in range(100)),
        *((f"honest-{number}", ticket(OTHER)) for number in range(10)),
    )
    assert [name.partition("-")[0] for name in drained(line)[:20]] == ["sly", "honest"] * 10


def test_the_batch_waits_for_the_urgent_but_never_starves() -> None:
    """While both wait, of ten turns one is the batch's; each in its own order."""
    urgent = [(f"u{number}", ticket()) for number in range(30)]
    batch = [(f"b{number}", ticket(priority=Priority.BATCH)) for number in range(10)]
    order = drained(line_of(*batch, *urgent))
    assert order[:BATCH_SHARE] == [f"u{number}" for number in range(BATCH_SHARE - 1)] + ["b0"]
    assert [name for name in order if name[0] == "u"] == [name for name, _ in urgent]
    assert [name for name in order if name[0] == "b"] == [name for name, _ in batch]
    assert order.index("b2") == 3 * BATCH_SHARE - 1


def test_the_batch_has_all_turns_where_nobody_is_in_a_hurry() -> None:
    """Turns that were not needed are not saved up against it."""
    line = line_of(("b0", ticket(priority=Priority.BATCH)), ("b1", ticket(priority=Priority.BATCH)))
    assert drained(line) == ["b0", "b1"]


def test_who_was_sent_back_goes_before_all_others() -> None:
    """The last one sent back first; whatever their priority."""
    line = line_of(("urgent", ticket()))
    line.push_first("refused")
    line.push_first("refused later")
    assert drained(line) == ["refused later", "refused", "urgent"]


def test_forgetting_somebody_takes_no_turn() -> None:
    """Its client's next request moves up."""
    line = line_of(("a", ticket(ONE)), ("b", ticket(ONE)), ("c", ticket(OTHER)))
    line.remove("a")
    assert drained(line) == ["b", "c"]


def test_taking_who_is_next_is_a_turn_and_taking_another_is_not() -> None:
    """As for a pod that only one of them may have."""
    line = line_of(("a", ticket(ONE)), ("b", ticket(ONE)), ("c", ticket(OTHER)))
    line.take("a")
    assert line.peek() == "c"
    line.take("b")
    assert drained(line) == ["c"]


class Anything(RuleBasedStateMachine):
    """Clients, priorities and departures in any order, beside a model that knows only lists."""

    def __init__(self) -> None:
        super().__init__()
        self.line: Line[int] = Line()
        self.known: dict[int, Ticket] = {}
        self.names = itertools.count()
        # How often each other client was served since somebody came, by who came.
        self.since: dict[int, list[Client]] = {}

    @rule(
        client=st.builds(Client, st.sampled_from([b"1", b"2", b"3"]), st.sampled_from([b"", b"x"])),
        priority=st.sampled_from(list(Priority)),
    )
    def push(self, client: Client, priority: Priority) -> None:
        name = next(self.names)
        self.known[name] = Ticket(client, priority)
        self.since[name] = []
        self.line.push(name, self.known[name])

    @precondition(lambda self: self.known)
    @rule()
    def pop(self) -> None:
        expected = self.line.peek()
        name = self.line.pop()
        assert name == expected
        served = self.known.pop(name)
        del self.since[name]
        mine = [each for each, brought in self.known.items() if brought[:2] == served[:2]]
        assert all(each > name for each in mine), "a client's own requests keep their order"
        for each, brought in self.known.items():
            if brought.priority is served.priority and brought.client.address != served.client.address:
                first = min(one for one, other in self.known.items() if other[:2] == brought[:2]) == each
                if first:
                    self.since[each].append(served.client)

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.known)))
        self.line.remove(name)
        del self.known[name], self.since[name]

    @invariant()
    def everybody_is_there_in_the_order_of_arrival(self) -> None:
        assert list(self.line) == list(self.known)
        assert len(self.line) == len(self.known)

    @invariant()
    def no_address_is_served_twice_while_the_first_of_another_waits(self) -> None:
        """Two credentials of the waiting address may be before it, so each other address is served twice at most."""
        for served in self.since.values():
            for address in {client.address for client in served}:
                assert sum(client.address == address for client in served) <= 2


TestAnything = Anything.TestCase
TestAnything.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)


@pytest.mark.parametrize("priority", list(Priority))
def test_a_line_that_was_emptied_is_as_good_as_new(priority: Priority) -> None:
    """Nothing of former clients is kept."""
    line = line_of(("a", ticket(priority=priority)))
    line.pop()
    assert len(line) == 0
    assert all(not each._addresses for each in line._rounds.values())
