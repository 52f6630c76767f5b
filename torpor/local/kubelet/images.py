"""Which command an image stands for on a machine without a container engine."""

from __future__ import annotations

from torpor.spec.pod import Container
from torpor.spec.revision import is_predictor

BUILT_IN = "predictor"
"""The module of this installation that image `torpor/predictor` runs."""

NEVER_PULL = "ErrImageNeverPull"


def command_of(container: Container, python: str) -> tuple[str, ...] | None:
    """Return what to run, without arguments; None where only the image would know."""
    if container.command:
        return container.command
    if is_predictor(container.image):
        return (python, "-m", BUILT_IN)
    return None


def why_not(container: Container) -> str:
    """Say why an image cannot be run, and what to do about it."""
    return (
        f'Container image "{container.image}" cannot be run: a laptop has no container engine, so container '
        f"{container.name} needs a `command`, which runs on this machine"
    )
