"""Decide how many of those who wait are executed together, now or later: Triton's arithmetic.

See GetDynamicBatch in Triton's dynamic_batch_scheduler.cc for what its users rely on: a preferred size is executed as
soon as it is reached; what cannot grow any more, or has waited for its delay, is executed as it is.
"""

from __future__ import annotations

from collections.abc import Iterable

from predictor.batching.options import Batching


def form(rows: Iterable[int], waited_s: float, batching: Batching, *, grows: bool = True) -> int:
    """Return how many of the first requests are one batch now; 0: it is worth waiting.

    `rows` are those of the requests that fit each other, in order, `waited_s` how long the first has waited. `grows`
    says whether others may still come to them.
    """
    count = total = best = 0
    preferred = batching.preferred or (batching.max_size,)
    is_full = False
    for each in rows:
        if count and total + each > batching.max_size:
            is_full = True
            break
        count, total = count + 1, total + each
        if total in preferred:
            best = count
    is_overdue = 0 < batching.delay_s <= waited_s
    if best and not is_overdue:
        return best
    if is_full or is_overdue or not grows or not batching.delay_s or total >= batching.max_size:
        return count
    return 0
