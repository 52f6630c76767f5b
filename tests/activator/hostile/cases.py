r"""The corpus: what attackers and broken clients send, and what comes of it, as text files.

A case begins with `== its name`. Then come the answers (`answer 400 closed`: the statuses, and whether the connection
ends), what reaches the pod (`pod METHOD TARGET BODY`, one line each; none: nothing does; `pod partial`: no more than
the beginning of a request, which its body then breaks off), and after an empty line what the client sends. There the
ends of the file's own lines mean nothing; `\r`, `\n`, `\t`, `\0`, `\\` and `\xNN` are bytes; `{70000*a}` is that
many; a line that is `@` is the Host field of the service, `@/` the same and the end of the head. After it all the
client sends `GET /after`, which must reach the pod if the connection stays open, and must not if it is closed; unless
the case is to be sent `alone`. A case that is told `at once` depends on coming in one piece.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.activator.hostile.readers import Seen
from tests.activator.hostile.sealed import HOST

CORPUS = Path(__file__).with_name("corpus")
AFTER = f"GET /after HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()

_BYTES = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}


@dataclass(frozen=True)
class Case:
    """One conversation."""

    name: str
    raw: bytes
    statuses: tuple[int, ...]
    closed: bool
    seen: tuple[Seen, ...]
    partial: bool
    alone: bool
    at_once: bool


def load() -> Iterator[Case]:
    """Read all files."""
    for path in sorted(CORPUS.glob("*.http")):
        text = re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE)
        for block in text.split("\n== ")[1:] if not text.startswith("== ") else text[3:].split("\n== "):
            yield _case(path.stem, block)


def _case(topic: str, block: str) -> Case:
    said, _, raw = block.partition("\n\n")
    name, *lines = said.split("\n")
    statuses: tuple[int, ...] = ()
    closed = partial = alone = at_once = False
    seen = []
    for line in lines:
        what, *words = line.split(" ", 3)
        if what == "answer":
            statuses = tuple(int(word) for word in line.split()[1:] if word.isdigit())
            closed = line.endswith(" closed")
        elif words == ["partial"]:
            partial = True
        elif what == "alone":
            alone = True
        elif line == "at once":
            at_once = True
        else:
            assert what == "pod", f"{name}: {line}"
            seen.append(Seen(*(_bytes(word) for word in (*words, "")[:3])))
    assert statuses or closed, f"{name}: no answer line"
    return Case(f"{topic}: {name}", _raw(raw), statuses, closed, tuple(seen), partial, alone, at_once)


def _raw(text: str) -> bytes:
    lines = []
    for line in text.split("\n"):
        if line in {"@", "@/"}:
            lines.append(f"Host: {HOST}\r\n{line[1:] and chr(13) + chr(10)}".encode())
        else:
            lines.append(_bytes(line))
    return b"".join(lines)


def _bytes(text: str) -> bytes:
    raw = re.sub(rb"\{(\d+)\*([^}]*)\}", lambda found: int(found[1]) * found[2], text.encode())
    return re.sub(rb"\\(?:x([0-9a-f]{2})|(.))", _byte, raw)


def _byte(found: re.Match[bytes]) -> bytes:
    return bytes.fromhex(found[1].decode()) if found[1] else _BYTES[found[2]]
