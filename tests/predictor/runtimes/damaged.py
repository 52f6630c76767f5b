"""Open one file after another that was damaged by chance: a program, since a library that crashes ends it.

`python -m tests.predictor.runtimes.damaged FORMAT FILE COUNT` prints, as JSON, how many were refused and how many not.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

import numpy as np
import orjson

from predictor.model import Model
from predictor.runtimes import registry
from predictor.runtimes.runtime import Files
from torpor.errors import TorporError
from torpor.protocol.tensors import Tensor


def truncated(raw: bytes, dice: random.Random) -> bytes:
    return raw[: dice.randrange(len(raw))]


def flipped(raw: bytes, dice: random.Random) -> bytes:
    changed = bytearray(raw)
    for _ in range(dice.choice((1, 8))):
        changed[dice.randrange(len(raw))] = dice.randrange(256)
    return bytes(changed)


def shortened(raw: bytes, dice: random.Random) -> bytes:
    begin = dice.randrange(len(raw))
    return raw[:begin] + raw[begin + dice.randrange(1, 64) :]


def renumbered(raw: bytes, dice: random.Random) -> bytes:
    """Change digits: a text stays one, and says something else."""
    changed = bytearray(raw)
    digits = [index for index, byte in enumerate(raw) if chr(byte).isdigit()]
    for index in dice.sample(digits, min(3, len(digits))):
        changed[index] = ord(str(dice.randrange(10)))
    return bytes(changed)


WAYS = (truncated, flipped, shortened, renumbered)


def ask(model: Model) -> None:
    """Ask for rows that go left, right, and both ways."""
    model.warm()
    inputs = model.signature.inputs
    if [each.name for each in inputs] != ["input-0"]:
        return
    features = inputs[0].shape[-1]
    model.infer([Tensor("input-0", np.array([[-9] * features, [9] * features, [np.nan] * features], np.float32))])


def main(format_: str, path: Path, count: int) -> None:
    runtime = registry.runtime(format_)
    dice = random.Random(7)
    raw = path.read_bytes()
    refused = 0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, path.name)
        for number in range(count):
            way = WAYS[number % len(WAYS)]
            file.write_bytes(way(raw, dice))
            sys.stderr.write(f"{number} {way.__name__}\n")  # the last line says which one it was
            sys.stderr.flush()
            files = Files(file.parent, (file.name,))
            try:
                runtime.verify(files)
                ask(runtime.open(files))
            except TorporError as error:
                if path.name not in str(error):
                    raise
                refused += 1
    sys.stdout.write(orjson.dumps({"refused": refused, "opened": count - refused}).decode() + "\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
