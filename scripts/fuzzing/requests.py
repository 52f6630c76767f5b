"""Conversations made up by libFuzzer, held to the laws of tests/activator/hostile/laws.py.

The first byte says how often the rest is cut. The hostile corpus is what it begins with, its words are what it puts
together.
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["activator.proxy", "activator.waiting", "activator.routing"]):
    from activator.proxy import client, exchange, request, upstream  # noqa: F401  # what is looked into

from tests.activator.hostile import laws
from tests.activator.hostile.cases import load
from tests.activator.hostile.sealed import converse

FOUND = Path(".cache/fuzz/found")
LONGEST = 4096
_WORD = re.compile(rb"[A-Za-z][A-Za-z0-9-]{2,30}|[\r\n\t :;,=]{2,4}")

loop = asyncio.Runner()


def one(data: bytes) -> None:
    """Hold one conversation."""
    cuts, raw = data[0] % 4 if data else 0, data[1:]
    size = len(raw) // (cuts + 1) + 1
    parts = [raw[at : at + size] for at in range(0, len(raw), size)]
    laws.check(raw, converse(loop, parts))


def seed() -> Path:
    """Write what to begin with; returns the file of words."""
    words: set[bytes] = set()
    for number, case in enumerate(load()):
        if len(case.raw) <= LONGEST:
            (FOUND / f"corpus-{number:03d}").write_bytes(bytes([number % 4]) + case.raw)
            words.update(_WORD.findall(case.raw))
    path = FOUND.parent / "words"
    escaped = ("".join(f"\\x{byte:02x}" for byte in word) for word in sorted(words))
    path.write_text("".join(f'"{word}"\n' for word in escaped))
    return path


def main() -> None:
    """Go on until told to stop."""
    given = sys.argv[1:]
    if not any(Path(each).is_file() for each in given):
        given = [f"-dict={seed()}", f"-max_len={LONGEST}", f"-artifact_prefix={FOUND.parent}/", *given, str(FOUND)]
    atheris.Setup([sys.argv[0], *given], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
