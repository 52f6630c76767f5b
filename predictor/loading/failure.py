"""Whatever a stage raises, as a LoadError that names the file and what to do."""

from __future__ import annotations

import errno
import os

from torpor.errors import LoadError, TorporError

_ADVICE = {
    errno.ENOSPC: "the disk is full; free some space, or set TORPOR_MODEL_DIR to a larger disk",
    errno.EDQUOT: "the disk quota is used up; free some space, or set TORPOR_MODEL_DIR to another disk",
    errno.EROFS: "the file system is read-only; set TORPOR_MODEL_DIR to a folder that can be written to",
    errno.ENOENT: "it does not exist",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n)",
}


def explain(stage: str, error: BaseException) -> LoadError:
    """Return the error as a LoadError of this stage, or of the one that it names itself."""
    if isinstance(error, LoadError):
        return error
    if isinstance(error, TorporError):
        return LoadError(stage, str(error), retryable=error.retryable)
    if isinstance(error, OSError) and error.errno is not None:
        return LoadError(stage, _system(error))
    if isinstance(error, MemoryError):
        return LoadError(stage, "not enough memory for this model; raise the memory limit of the container")
    return LoadError(stage, f"{type(error).__name__}: {error}")


def _system(error: OSError) -> str:
    if error.errno in {errno.EACCES, errno.EPERM}:
        advice = f"user {os.getuid()} may not use it; change its permissions"
    else:
        advice = _ADVICE.get(error.errno or 0, "")
    parts = (str(error.filename) if error.filename else "", error.strerror or "", advice)
    return ": ".join(each for each in parts if each)
