"""Models of the transformers library from a folder: complete, from files alone, and without code of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from predictor.runtimes.pretrained import Plan
from torpor.errors import LoadError

_POOLER = "pooler."
"""Models for embeddings are often saved without this part, which embeddings do not need."""


def model(folder: Path, plan: Plan, kind: Any) -> Any:
    """Return the model; `kind` is one of the Auto classes. Raises LoadError if weights are missing."""
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # a log is no terminal
    try:
        found, loaded = kind.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, output_loading_info=True
        )
    except ValueError as error:
        raise _unfit(plan, error) from error
    missing = sorted(each for each in loaded["missing_keys"] if not each.startswith(_POOLER))
    if missing:
        raise lacking(missing, plan.architecture)
    return found.eval()


def part(folder: Path, plan: Plan, kind: Any, **options: Any) -> Any:
    """Return a tokenizer or a processor; raises LoadError where the folder does not say which."""
    try:
        return kind.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **options)
    except (OSError, ValueError) as error:
        raise _unfit(plan, error) from error


def lacking(missing: list[str], architecture: str) -> LoadError:
    """Return why weights that are not complete are not served."""
    return LoadError("open", f"the weights lack {len(missing)} tensors that {architecture} needs: {missing[0]}, …")


def _unfit(plan: Plan, error: Exception) -> LoadError:
    if "trust_remote_code" in str(error):
        return LoadError(
            "open",
            f"{plan.architecture} needs code that comes with its files (auto_map), and such is not run; "
            "write a class of your own around it, with modelFormat python",
        )
    why = " ".join(str(error).split())[:300]
    return LoadError("open", f"{plan.architecture} cannot be served for the task {plan.task}: {why}")
