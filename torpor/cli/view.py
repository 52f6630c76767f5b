"""Show a cold start while it happens: a live waterfall on a terminal, plain lines anywhere else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from rich.console import Console
from rich.live import Live

from torpor.aio.clock import Clock
from torpor.cli.wake import Wake
from torpor.cli.waterfall import transferred, waterfall

REFRESH_PER_S = 12


@contextlib.contextmanager
def show_wake(name: str, clock: Clock, console: Console | None = None) -> Iterator[Wake]:
    """Give a wake whose every change is shown on stderr."""
    console = console or Console(stderr=True, highlight=False)
    if not console.is_terminal:
        lines = Lines(name, console)
        wake = Wake(clock, lambda: lines.show(wake))
        lines.begin()
        yield wake
        return
    wake = Wake(clock, lambda: None)  # the picture is drawn anew at every tick anyway
    width = max(20, min(60, console.width - 44))
    with Live(
        get_renderable=lambda: waterfall(wake.stages(), wake.now_s, width, wake.note),
        console=console,
        refresh_per_second=REFRESH_PER_S,
    ):
        yield wake


class Lines:
    """One line per stage, when it has ended; one more whenever the pod has something to say."""

    def __init__(self, name: str, console: Console) -> None:
        self._name = name
        self._console = console
        self._shown: set[str] = set()

    def begin(self) -> None:
        self._console.print(f"{self._name} is at zero; waking it", soft_wrap=True)

    def show(self, wake: Wake) -> None:
        self._once(wake.note)
        for stage in wake.stages():
            if stage.seconds is not None and stage.name not in self._shown:
                self._shown.add(stage.name)
                moved = transferred(stage, stage.seconds)
                self._console.print(f"{stage.name:8} {stage.seconds:7.3f} s  {moved}".rstrip(), soft_wrap=True)

    def _once(self, line: str) -> None:
        if line and line not in self._shown:
            self._shown.add(line)
            self._console.print(line, soft_wrap=True, markup=False)
