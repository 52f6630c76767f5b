"""Where a model that is being loaded is going to be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Room(Protocol):
    """One load's; whoever asked for the load has it from then on until the model has its place."""

    @property
    def stays(self) -> bool:
        """Whether the model does, for as long as the process: then no garbage is looked for in it."""

    async def make(self, files: int) -> None:
        """Have room for a model of so many bytes of files, which is opened next; raises LoadError, UnavailableError."""

    async def fill(self, pids: Sequence[int] = ()) -> None:
        """Look at what the model takes, now that it is warm; raises LoadError, UnavailableError if it is too much.

        `pids` are those of processes that it has to itself.
        """


class Anywhere:
    """Room without end, in which nothing is measured."""

    stays = True

    async def make(self, files: int) -> None:
        pass

    async def fill(self, pids: Sequence[int] = ()) -> None:
        pass


ANYWHERE = Anywhere()
