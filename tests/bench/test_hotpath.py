"""What one request costs the door, counted in bytecodes: the same every time, whatever else the machine does."""

from __future__ import annotations

import asyncio

import pytest

from scripts.benchmarks.activator.hotpath import HotPath, bytecodes

PLAIN = 1800
ALL_ON = 2800


@pytest.mark.parametrize(
    ("all_on", "most"), [pytest.param(False, PLAIN, id="plain"), pytest.param(True, ALL_ON, id="everything on")]
)
def test_bytecodes_of_a_request(*, all_on: bool, most: int) -> None:
    """Who needs more for a feature puts it where only those pay who use it, or raises this knowing the price."""

    async def count() -> int:
        ops, _ = bytecodes(HotPath(all_on=all_on))
        return ops.total()

    with asyncio.Runner() as runner:
        found = runner.run(count())
    assert 500 < found < most
