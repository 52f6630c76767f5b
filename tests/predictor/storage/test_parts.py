"""How files are cut into ranges."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from predictor.storage.parts import Part, split
from predictor.storage.place import File

SIZES = st.lists(st.integers(0, 10_000), max_size=20)


@given(SIZES, st.integers(1, 3000))
def test_every_byte_of_every_file_is_in_exactly_one_part(sizes: list[int], size: int) -> None:
    """Also an empty file has one part, which makes it; no part of another file is empty or half as large again."""
    files = [File(str(index), each) for index, each in enumerate(sizes)]
    parts = split(files, size)
    for file in files:
        own = sorted((each for each in parts if each.file == file), key=lambda each: each.start)
        assert own[0].start == 0
        assert own[-1].end == file.size
        assert all(before.end == after.start for before, after in pairwise(own))
        assert all(each.start < each.end for each in own) or file.size == 0
        assert all(each.end - each.start <= size * 1.5 + 1 for each in own)


@given(SIZES, st.integers(1, 3000))
def test_the_largest_file_comes_first(sizes: list[int], size: int) -> None:
    """Begun last, it would be fetched alone when all others are done."""
    order = [each.file.size for each in split([File(str(index), each) for index, each in enumerate(sizes)], size)]
    assert order == sorted(order, reverse=True)


def test_a_small_rest_is_no_request_of_its_own() -> None:
    """100 bytes by 30 are three parts of 34, 34 and 32."""
    file = File("a", 100)
    assert split([file], 30) == (Part(file, 0, 34), Part(file, 34, 68), Part(file, 68, 100))
