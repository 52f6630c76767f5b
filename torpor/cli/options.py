"""Types of options that several commands share."""

from __future__ import annotations

import click

from torpor.errors import InvalidInputError
from torpor.spec.duration import parse_duration


class Duration(click.ParamType[float]):
    """A duration as Kubernetes writes it; the command gets seconds."""

    name = "duration"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            return parse_duration(param.name if param and param.name else self.name, str(value))
        except InvalidInputError as error:
            self.fail(str(error), param, ctx)


DURATION = Duration()
