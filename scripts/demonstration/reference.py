"""The model run directly, by its own library and in a process of its own: what every answer is compared with."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from processes import stopped

from torpor.errors import TorporError

TOLERANCE = 1e-4


async def embed(model: Path, texts: Sequence[str]) -> list[list[float]]:
    """Return the embedding of each text, without Torpor."""
    # The library leaves a folder where temporary files go, and draws a bar where nobody needs one.
    with tempfile.TemporaryDirectory(prefix="torpor-demo-") as scratch:
        process = await asyncio.create_subprocess_exec(
            sys.executable, __file__, str(model),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            env=os.environ | {"TMPDIR": scratch, "TQDM_DISABLE": "1"},
        )  # fmt: skip
        async with stopped(process, 5):
            output, _ = await process.communicate(json.dumps(list(texts)).encode())
    if process.returncode:
        raise TorporError(f"the model run directly ended with exit status {process.returncode}")
    embeddings: list[list[float]] = json.loads(output)
    return embeddings


def wrong_answers(expected: Sequence[Sequence[float]], given: Sequence[Sequence[float] | None]) -> int:
    """Count the answers that differ by more than the tolerance anywhere; no answer is not a wrong one."""
    return sum(answer is not None and not _same(want, answer) for want, answer in zip(expected, given, strict=True))


def _same(want: Sequence[float], answer: Sequence[float]) -> bool:
    return len(want) == len(answer) and all(abs(a - b) <= TOLERANCE for a, b in zip(want, answer, strict=True))


def _run_model() -> None:
    """Mean of the token embeddings, of length 1: how sentence-transformers defines this model."""
    import torch  # noqa: PLC0415  # only this process pays for it
    from transformers import AutoModel, AutoTokenizer  # noqa: PLC0415

    folder = sys.argv[1]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    embeddings = []
    with torch.inference_mode():
        for text in json.load(sys.stdin):
            words = tokenizer(text, return_tensors="pt", truncation=True, max_length=256)
            tokens = model(**words).last_hidden_state[0]
            embeddings.append(torch.nn.functional.normalize(tokens.mean(dim=0), dim=0).tolist())
    json.dump(embeddings, sys.stdout)


if __name__ == "__main__":
    _run_model()
