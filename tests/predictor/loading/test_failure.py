"""What users are told, whatever a stage raised."""

from __future__ import annotations

import errno
import os

import pytest

from predictor.loading.failure import explain
from torpor.errors import LoadError, NotFoundError, UnavailableError


def system(number: int, path: str | None = "/models/x") -> OSError:
    return OSError(number, os.strerror(number), path)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        pytest.param(
            system(errno.ENOSPC),
            "/models/x: No space left on device: the disk is full; free some space, or set TORPOR_MODEL_DIR to a larger"
            " disk",
            id="full-disk",
        ),
        pytest.param(
            system(errno.EACCES),
            f"/models/x: Permission denied: user {os.getuid()} may not use it; change its permissions",
            id="not-allowed",
        ),
        pytest.param(system(errno.ENOENT), "/models/x: No such file or directory: it does not exist", id="gone"),
        pytest.param(system(errno.EIO), "/models/x: Input/output error", id="broken-disk"),
        pytest.param(system(errno.EIO, None), "Input/output error", id="nobody-knows-which-file"),
        pytest.param(NotFoundError("as it is"), "as it is", id="an-error-of-ours"),
        pytest.param(RuntimeError("no licence"), "RuntimeError: no licence", id="any-other"),
        pytest.param(
            MemoryError(), "not enough memory for this model; raise the memory limit of the container", id="memory"
        ),
    ],
)
def test_the_message_names_the_file_and_what_to_do(error: Exception, message: str) -> None:
    """As an error of the stage in which it came up."""
    told = explain("fetch", error)
    assert (told.stage, str(told), told.retryable) == ("fetch", message, False)


def test_what_can_be_tried_again_stays_so() -> None:
    """It is up to the pipeline for how long."""
    assert explain("resolve", UnavailableError("later")).retryable


def test_an_error_that_knows_its_stage_keeps_it() -> None:
    """And is the same object, with its own cause."""
    error = LoadError("open", "x")
    assert explain("warm", error) is error
