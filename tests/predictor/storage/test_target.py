"""Files that arrive in pieces."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NoReturn

import pytest

from predictor.storage.target import Targets


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_file_has_its_name_when_it_is_whole(tmp_path: Path) -> None:
    """Pieces come in any order; before the last one there is only a `.part`."""
    with Targets(tmp_path) as targets:
        targets.get("deep/a", 6).write(3, b"def")
        assert names(tmp_path) == ["deep/a.part"]
        targets.get("deep/a", 6).write(0, b"abc")
        assert names(tmp_path) == ["deep/a"]
    assert (tmp_path / "deep/a").read_bytes() == b"abcdef"


def test_an_empty_file_is_whole_at_once(tmp_path: Path) -> None:
    """There will be no last piece."""
    with Targets(tmp_path) as targets:
        targets.get("empty", 0)
    assert names(tmp_path) == ["empty"]


def test_what_is_not_whole_is_discarded(tmp_path: Path) -> None:
    """What is whole stays, for the next try."""
    with Targets(tmp_path) as targets:
        targets.get("whole", 2).write(0, b"ab")
        targets.get("half", 2).write(0, b"a")
    assert names(tmp_path) == ["whole"]
    assert Targets(tmp_path).has("whole", 2)
    assert not Targets(tmp_path).has("whole", 3)
    assert not Targets(tmp_path).has("half", 2)


@pytest.mark.parametrize("call", ["posix_fallocate", "pwrite"], ids=["while-reserving", "while-writing"])
def test_a_full_disk_is_told_with_the_name_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """And leaves nothing behind."""

    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match=r"No space left on device: '.*/weights'") as caught, Targets(tmp_path) as targets:
        targets.get("weights", 10).write(0, b"0123456789")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "weights"))
    assert names(tmp_path) == []


def test_a_file_system_that_cannot_reserve_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reserving only makes a full disk known earlier."""

    def cannot(*_: object) -> NoReturn:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", cannot)
    with Targets(tmp_path) as targets:
        targets.get("a", 1).write(0, b"a")
    assert names(tmp_path) == ["a"]
