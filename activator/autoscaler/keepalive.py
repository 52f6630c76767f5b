"""Learn from the pauses between a revision's requests when a pod is worth keeping, and when to have one ready again.

The method is that of "Serverless in the Wild" (Shahrad et al., USENIX ATC 2020): a histogram of idle times, limited in
range; a pod is kept as long as the short pauses last, and started again before the next request is due. Where the
histogram says nothing, the standard holds. There the cut-offs are the 5th and the 99th percentile; here they are only
the outer limits, and within them a budget decides: all that is kept by learning may cost no more replica-seconds than
Knative's autoscaler would have (decision record 0017).
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

RATIO = 1.1
FIRST_S, RANGE_S = 2.0, 4 * 3600.0
"""Bins grow by a tenth each: as fine as our ticks where pauses are seconds, and few where they are hours."""
EDGES_S = (0.0, *(FIRST_S * RATIO**n for n in range(math.ceil(math.log(RANGE_S / FIRST_S) / math.log(RATIO)) + 1)))
BINS = len(EDGES_S) - 1

HEAD, TAIL = 0.05, 0.99
LEAST_GAPS = 8
"""With fewer there is no pattern yet."""
BEYOND = 0.5
"""Where more of the pauses are longer than the range, the histogram says nothing."""
LEAST_CV = 1.0
"""Coefficient of variation of the bins' counts: below it they are as good as level."""
KEPT_GAPS = 64.0
"""Older pauses count half, as soon as there are so many: mornings differ from nights."""
TYPICAL_S, LONG = 15.0, 3
LEAST_KEEP_S = 6.0
"""Requests of one client come in trains; and a pod that goes and comes within seconds serves nobody."""


@dataclass(frozen=True, slots=True)
class Plan:
    """When, after the last request, a pod shall be there: from 0 to `keep_s`, and from `again_s` to `until_s`."""

    keep_s: float
    again_s: float = math.inf
    until_s: float = math.inf

    def warm(self, idle_s: float) -> bool:
        return idle_s < self.keep_s or self.again_s <= idle_s < self.until_s

    def prewarms(self, idle_s: float) -> bool:
        """Tell whether a pod is there for what is expected, and not for what was."""
        return self.keep_s <= idle_s and self.again_s <= idle_s < self.until_s

    def next_s(self, idle_s: float) -> float | None:
        """Return at which idle time a pod is to be started again; None where it is not."""
        return self.again_s if idle_s < self.again_s < math.inf else None

    def at_most(self, keep_s: float) -> Plan:
        """Return the plan of who may not keep a pod any longer than that, nor start one on suspicion."""
        return Plan(min(self.keep_s, keep_s))


class Gaps:
    """The histogram of one revision's pauses."""

    __slots__ = ("beyond", "counts", "total")

    def __init__(self) -> None:
        self.counts = array("f", [0.0]) * BINS
        self.beyond = 0.0
        """Longer than the range."""
        self.total = 0.0

    def add(self, gap_s: float) -> None:
        """Take in one pause."""
        if self.total >= KEPT_GAPS:
            self.counts = array("f", [count / 2 for count in self.counts])
            self.beyond, self.total = self.beyond / 2, self.total / 2
        self.total += 1
        if gap_s >= EDGES_S[-1]:
            self.beyond += 1
        else:
            self.counts[bin_of(gap_s)] += 1

    @property
    def representative(self) -> bool:
        """Whether there is a pattern."""
        if self.total < LEAST_GAPS or self.beyond > BEYOND * self.total:
            return False
        mean = sum(self.counts) / BINS
        variance = sum(count * count for count in self.counts) / BINS - mean * mean
        return math.sqrt(max(0.0, variance)) >= LEAST_CV * mean


def bin_of(gap_s: float) -> int:
    """Return the bin of a pause within the range."""
    if gap_s < FIRST_S:
        return 0
    return min(BINS - 1, 1 + int(math.log(gap_s / FIRST_S) / math.log(RATIO) + 1e-9))


def plan(gaps: Gaps, start_s: float, worth: float) -> Plan | None:
    """Return what is worth its replica-seconds; None where the histogram says nothing.

    A pod that is there when a request comes saves it the wait for a start, `start_s`, and the replica-seconds of that
    start. `worth` says how many replica-seconds a second of waiting is worth; at 0 only what saves replica-seconds is
    done. Long waits weigh more than their seconds, by (start_s / TYPICAL_S) ** LONG: it is the longest that hurt.
    """
    if not gaps.representative:
        return None
    hit = start_s * (1 + worth * (start_s / TYPICAL_S) ** LONG)
    left, hits, values = gaps.total, 0.0, []
    limit = TAIL * gaps.total
    for number, count in enumerate(gaps.counts):
        if hits >= limit:
            break
        begin_s, end_s = EDGES_S[number], EDGES_S[number + 1]
        left -= count
        hits += count
        # Half of the bin, on average, for a pause that ends in it; all of it for those that go on.
        values.append(count * hit - (end_s - begin_s) * (left + count / 2))
    kept = _best_prefix(values)
    keep_s = max(LEAST_KEEP_S, EDGES_S[kept])
    return _with_prewarming(gaps, values, kept, keep_s, start_s)


def _best_prefix(values: Sequence[float]) -> int:
    """Return how many bins, from the first on, are worth most together."""
    best, best_sum, total = 0, 0.0, 0.0
    for number, value in enumerate(values, 1):
        total += value
        if total > best_sum:
            best, best_sum = number, total
    return best


def _with_prewarming(gaps: Gaps, values: Sequence[float], kept: int, keep_s: float, start_s: float) -> Plan:
    """Add the later bins that are worth most together, the start before them included; none where none are."""
    outlast = gaps.total - sum(gaps.counts[:kept])
    head = HEAD * outlast
    left, total, best = outlast, 0.0, 0.0
    begin, chosen = -1, (-1, -1)
    for number in range(kept, len(values)):
        # Either the window that is open goes on, or a better one opens here; it costs a start for whoever is left.
        opened = -start_s * left
        if outlast - left + gaps.counts[number] >= head and (begin < 0 or total < opened):
            begin, total = number, opened
        left -= gaps.counts[number]
        if begin >= 0:
            total += values[number]
            if total > best:
                best, chosen = total, (begin, number + 1)
    again_s = EDGES_S[chosen[0]] - start_s if chosen[0] >= 0 else math.inf
    if again_s == math.inf:
        return Plan(keep_s)
    if again_s <= keep_s:  # no time to sleep in between
        return Plan(EDGES_S[chosen[1]])
    return Plan(keep_s, again_s, EDGES_S[chosen[1]])


@dataclass(frozen=True, slots=True)
class Account:
    """Replica-seconds in idle times: what Knative's autoscaler would have had, and what there really were."""

    knatives_s: float = 0.0
    ours_s: float = 0.0

    def __add__(self, other: Account) -> Account:
        return Account(self.knatives_s + other.knatives_s, self.ours_s + other.ours_s)


def idle_account(begin_s: float, end_s: float, knatives_keep_s: float, *, pods: bool) -> Account:
    """Return the account of a stretch of one pause, from one idle time to another."""
    would = max(0.0, min(end_s, knatives_keep_s) - min(begin_s, knatives_keep_s))
    return Account(would, max(0.0, end_s - begin_s) if pods else 0.0)


def wake_account(gap_s: float, knatives_keep_s: float, start_s: float, *, ready: bool) -> Account:
    """Return the account of a pause's end: a start that only one of the two has to make, with its replica-seconds."""
    would_start = gap_s > knatives_keep_s
    if would_start == (not ready):
        return Account()
    return Account(knatives_s=start_s) if would_start else Account(ours_s=start_s)


class Purse:
    """The budget that the adaptive revisions of a namespace share: who sleeps sooner pays for who stays."""

    __slots__ = ("_at_s", "knatives_s", "ours_s")

    HALF_LIFE_S = 24 * 3600.0
    ADVANCE_S = 120.0
    """So much more than Knative's autoscaler may be spent: without it nothing could ever be tried."""
    SAVED = 0.01
    """About this part of what Knative's would have spent stays unspent."""
    DEAREST = 100.0

    def __init__(self) -> None:
        self.knatives_s = self.ours_s = self._at_s = 0.0

    def add(self, account: Account, now_s: float) -> None:
        """Take in what was spent and what would have been."""
        if now_s > self._at_s:
            left = 0.5 ** ((now_s - self._at_s) / self.HALF_LIFE_S) if self._at_s else 1.0
            self.knatives_s *= left
            self.ours_s *= left
            self._at_s = now_s
        self.knatives_s += account.knatives_s
        self.ours_s += account.ours_s

    @property
    def left_s(self) -> float:
        """What may be spent."""
        return self.knatives_s - self.ours_s + self.ADVANCE_S

    @property
    def worth(self) -> float:
        """How many replica-seconds a second of waiting is worth: 0 while nothing is saved, more as savings grow."""
        spare = self.left_s / (2 * self.SAVED * self.knatives_s + 2 * self.ADVANCE_S)
        return float((1 + self.DEAREST) ** min(1.0, max(0.0, spare)) - 1)


class Learner:
    """One adaptive revision: its histogram, how long its starts take, and its account; fed by samples."""

    __slots__ = ("_active", "_asked_s", "_counted_s", "_had_pods", "_known", "_planned", "_ready", "_unsettled", "gaps",
                 "idle_since_s", "start_s")  # fmt: skip

    def __init__(self, now_s: float) -> None:
        self.gaps = Gaps()
        self.idle_since_s = now_s
        self.start_s: float | None = None
        """From a pod's being asked for to its being ready; smoothed. None before the first."""
        self._asked_s: float | None = None
        self._counted_s = now_s
        self._active = self._had_pods = self._known = False
        self._ready = 0
        self._unsettled = Account()
        self._planned: tuple[float, Plan | None] | None = None

    def idle_s(self, now_s: float) -> float:
        """Return for how long there has been no request."""
        return max(0.0, now_s - self.idle_since_s)

    def sample(
        self, start_s: float, end_s: float, *, active: bool, replicas: int, ready: int, knatives_keep_s: float
    ) -> None:
        """Take in what was between two times. `active`: there were requests. `replicas`, `ready`: pods at its end."""
        self._time_start(replicas, ready, end_s)
        if not self._active:
            idle_from, until = self._counted_s - self.idle_since_s, start_s if active else end_s
            self._unsettled += idle_account(idle_from, until - self.idle_since_s, knatives_keep_s, pods=self._had_pods)
            if active:
                self._woken(start_s - self.idle_since_s, knatives_keep_s)
        if active:
            self.idle_since_s = end_s
        self._active, self._counted_s = active, end_s
        self._had_pods, self._ready = replicas > 0, ready

    def _woken(self, gap_s: float, knatives_keep_s: float) -> None:
        if not self._known:
            self._known = True  # since when there was no request before the first is not known
            return
        self.gaps.add(max(0.0, gap_s))
        self._planned = None
        if self.start_s is not None:
            self._unsettled += wake_account(gap_s, knatives_keep_s, self.start_s, ready=self._ready > 0)

    def _time_start(self, replicas: int, ready: int, now_s: float) -> None:
        if replicas == 0 or ready > 0:
            if ready > 0 and self._asked_s is not None:
                took_s = now_s - self._asked_s
                self.start_s = took_s if self.start_s is None else 0.7 * self.start_s + 0.3 * took_s
            self._asked_s = None
        elif self._asked_s is None:
            self._asked_s = now_s

    def settle(self) -> Account:
        """Hand over the account since the last time."""
        account, self._unsettled = self._unsettled, Account()
        return account

    def plan(self, worth: float, knatives_keep_s: float, *, affordable: bool) -> Plan | None:
        """Return when a pod shall be there; None: as Knative's autoscaler has it."""
        if self.start_s is None:
            return None
        # A tenth more or less changes little: the plan is made anew when the pauses or the worth have changed.
        if self._planned is None or not 0.9 < (1 + worth) / (1 + self._planned[0]) < 1.1:
            self._planned = (worth, plan(self.gaps, self.start_s, worth))
        made = self._planned[1]
        return made if made is None or affordable else made.at_most(knatives_keep_s)
