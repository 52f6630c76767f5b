"""The demo from beginning to end: read `demonstrate` from top to bottom.

Ends with one line of JSON on standard output. The exit status is 1 if a request was lost or answered wrongly, or if
the service did not go back to zero.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from burst import Burst, send_burst
from laptop import Laptop, running
from manifest import objects
from reference import embed, wrong_answers
from rich.console import Console
from storage import bucket_with_model, model_folder
from texts import TEXTS
from zero import until_zero

from torpor.cli.ask import Answer, ask
from torpor.cli.connection import connected, find
from torpor.cli.request import build_call
from torpor.cli.services import find_service
from torpor.cli.waterfall import waterfall
from torpor.errors import TorporError

NAME = "minilm"
ANSWER_S = 180.0
ZERO_S = 120.0


async def demonstrate(requests: int, show: Console) -> dict[str, Any]:
    """Wake, load, grow, sleep, wake again; returns the figures."""
    texts = TEXTS[:requests]
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="torpor-demo-")))
        show.rule("a model in a bucket")
        bucket = await stack.enter_async_context(bucket_with_model(model_folder(), folder, show))

        show.rule("torpor up")
        laptop = await stack.enter_async_context(running(folder, show))

        show.rule("one InferenceService, in KServe's words")
        await laptop.torpor("apply", "-f", "-", "--wait", stdin=json.dumps(objects(NAME, bucket)))
        await until_zero(laptop, NAME, ZERO_S, show)

        show.rule("the first request, at zero")
        first = await first_answer(laptop, texts[0], show)
        show.rule(f"{requests} requests at once")
        burst = await send_burst(laptop, NAME, texts, show)
        show.rule("nothing to do")
        zero = await until_zero(laptop, NAME, ZERO_S, show)
        peak = max(burst.replicas_peak, zero.replicas_peak)
        show.rule("and awake once more")
        again = await first_answer(laptop, texts[0], show)
    show.rule("the same texts, by the model run directly")
    wrong = wrong_answers(await embed(model_folder(), texts), burst.embeddings)
    show.print(f"{len(texts) - wrong - burst.lost} of {requests} embeddings are the same, to four digits")
    return figures(first, again, burst, wrong, peak, at_zero=zero.reached)


async def first_answer(laptop: Laptop, text: str, show: Console) -> Answer:
    """Ask a service at zero, and draw what the wait was made of."""
    where = find(laptop.kubeconfig, None)
    async with connected(where) as cluster:
        service = await find_service(cluster, NAME, where.namespace)
        call = build_call(NAME, None, (text,), "v1", None, is_model=True)
        answer = await ask(cluster, service, where, call, ANSWER_S)
    if answer.status != 200:
        raise TorporError(
            f"the first request was answered with {answer.status}: {answer.body.decode(errors='replace')}"
        )
    if not Console(stderr=True).is_terminal:  # there it was drawn while it happened
        show.print(waterfall(answer.stages, answer.seconds))
    show.print(f"answered after {answer.seconds:.2f} s")
    return answer


def figures(first: Answer, again: Answer, burst: Burst, wrong: int, peak: int, *, at_zero: bool) -> dict[str, Any]:
    """Return what the demo has shown, in numbers."""
    return {
        "cold_start_s": round(first.seconds, 3),
        "stages": {stage.name: round(stage.seconds or 0.0, 3) for stage in first.stages},
        "cold_start_header": first.cold_start,
        "second_cold_start_s": round(again.seconds, 3),
        "requests": burst.requests,
        "burst_s": round(burst.seconds, 3),
        "lost": burst.lost,
        "wrong": wrong,
        "replicas_peak": peak,
        "scaled_to_zero": at_zero,
    }


def main() -> int:
    """Run the demo; SIGTERM and Ctrl-C leave nothing behind."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--requests", type=int, default=200, help=f"in the burst, 1 to {len(TEXTS)} (default: 200)")
    arguments = parser.parse_args()
    if not 1 <= arguments.requests <= len(TEXTS):
        parser.error(f"--requests: {arguments.requests} is not allowed; use 1 to {len(TEXTS)}")
    show = Console(highlight=False)
    begin = time.monotonic()
    try:
        with asyncio.Runner() as runner:
            result = runner.run(_stoppable(demonstrate(arguments.requests, show)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        show.print("stopped; nothing is left behind")
        return 130
    except TorporError as error:
        show.print(f"[red]failed:[/] {error}", soft_wrap=True)
        return 1
    show.print(f"in all {time.monotonic() - begin:.0f} s")
    print(json.dumps(result), flush=True)
    return 0 if not result["lost"] and not result["wrong"] and result["scaled_to_zero"] else 1


async def _stoppable(work: Any) -> Any:
    """SIGTERM ends it as Ctrl-C does: everything that was started is stopped."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


if __name__ == "__main__":
    sys.exit(main())
