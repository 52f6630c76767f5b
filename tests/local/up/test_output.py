"""Lines of services: cut, read, kept."""

from __future__ import annotations

import itertools
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.until import until
from torpor.local.up.output import LINE_BYTES, Line, Lines, LogFile, read_line, read_lines


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        pytest.param(b'{"level": "info", "message": "hello"}\n', Line("info", "hello"), id="a-log-line"),
        pytest.param(
            b'{"level": "error", "message": "oops", "exception": "Traceback:\\n  line 1\\nKeyError: 1\\n"}\n',
            Line("error", "oops: KeyError: 1"),
            id="an-exception-in-one-line",
        ),
        pytest.param(b"torpor x: no\n", Line(None, "torpor x: no"), id="plain-text"),
        pytest.param(b'{"level": "info"}\n', Line(None, '{"level": "info"}'), id="somebody-elses-json"),
        pytest.param(b"[1]\n", Line(None, "[1]"), id="not-even-an-object"),
        pytest.param(b"\xff\n", Line(None, "\ufffd"), id="not-even-text"),
        pytest.param(b"\n", Line(None, ""), id="nothing"),
    ],
)
def test_what_a_line_says(raw: bytes, line: Line) -> None:
    """A line of our own log by level and message, anything else as it is."""
    assert read_line(raw) == line


@given(text=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200)))
def test_lines_do_not_depend_on_how_they_arrive(text: bytes, cuts: list[int]) -> None:
    """However a pipe cuts them, nothing is lost; the last one gets its end."""
    heard: list[bytes] = []
    lines = Lines(heard.append)
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    for begin, end in itertools.pairwise(edges):
        lines.data_received(text[begin:end])
    lines.connection_lost(None)
    assert b"".join(heard) == (text + b"\n" if text and not text.endswith(b"\n") else text)
    assert all(line.count(b"\n") == 1 for line in heard)


def test_a_line_without_an_end_is_cut() -> None:
    """Memory is bounded, whatever a service writes."""
    heard: list[bytes] = []
    lines = Lines(heard.append)
    for _ in range(40):
        lines.data_received(b"x" * 4096)
    assert [len(line) for line in heard] == [LINE_BYTES + 1] * 2


async def test_a_pipe_is_read_to_its_end() -> None:
    """The end is told when everybody who could write has gone."""
    heard: list[bytes] = []
    reader, writer = os.pipe()
    lines = await read_lines(reader, heard.append)
    os.write(writer, b"one\ntwo")
    assert not lines.ended.is_set()
    os.close(writer)
    await lines.ended.wait()
    assert heard == [b"one\n", b"two\n"]


def test_a_log_that_has_grown_is_put_aside(tmp_path: Path) -> None:
    """Two files at most, each of bounded size; a new start goes on where the last one ended."""
    path = tmp_path / "logs/api.log"
    for word in (b"one\n", b"two\n", b"six\n"):
        log = LogFile(path, limit=8)
        log.write(word)
        log.close()
    assert path.read_bytes() == b"six\n"
    assert path.with_name("api.log.1").read_bytes() == b"one\ntwo\n"


async def test_a_log_whose_folder_has_gone_goes_on_in_a_new_one(tmp_path: Path) -> None:
    """Putting it aside fails then; what the service writes is read on in any case."""
    log = LogFile(tmp_path / "logs/api.log", limit=8)
    heard: list[bytes] = []

    def hear(raw: bytes) -> None:
        log.write(raw)
        heard.append(raw)

    reader, writer = os.pipe()
    lines = await read_lines(reader, hear)
    os.write(writer, b"one\n")
    await until(lambda: len(heard) == 1)
    shutil.rmtree(log.path.parent)
    os.write(writer, b"two\nsix\n")
    await until(lambda: len(heard) == 3)
    assert log.path.read_bytes() == b"six\n"
    os.close(writer)
    await lines.ended.wait()
    log.close()


def test_a_log_that_cannot_be_put_aside_loses_lines_until_it_can(tmp_path: Path) -> None:
    """Nothing is raised, and the file does not grow."""
    path = tmp_path / "api.log"
    log = LogFile(path, limit=8)
    log.write(b"one\n")
    log.write(b"two\n")
    aside = path.with_name("api.log.1")
    aside.mkdir()
    log.write(b"lost\n")
    assert path.read_bytes() == b"one\ntwo\n"
    aside.rmdir()
    log.write(b"six\n")
    log.close()
    assert (aside.read_bytes(), path.read_bytes()) == (b"one\ntwo\n", b"six\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_is_no_reason_to_die() -> None:
    """The line is lost, and nothing is raised."""
    log = LogFile(Path("/dev/full"))
    log.write(b"x\n")
    log.close()
