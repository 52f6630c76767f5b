"""Helper modules beside a model's code: each model imports its own, though several have some of the same name."""

from __future__ import annotations

import sys
from pathlib import Path

_folders: set[Path] = set()
"""Of models' code that was imported here: what lies in them is no library."""


def forget(folder: Path) -> None:
    """Have code in the folder import what lies beside it, not what other models, or it in an earlier version, have.

    Those keep what they have imported already.
    """
    _folders.add(folder.resolve())
    for name, module in list(sys.modules.items()):
        top = name.partition(".")[0]
        is_here = (folder / f"{top}.py").is_file() or (folder / top).is_dir()
        if is_here and _is_model_code(getattr(module, "__file__", None)):
            del sys.modules[name]


def _is_model_code(file: str | None) -> bool:
    return file is not None and any(Path(file).resolve().is_relative_to(each) for each in _folders)
