"""Small PyTorch models for tests: their classes as users write them, and the files of each kind."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("net.py").read_text()
DESCRIPTION = """
    class: Net
    arguments: {features: 4, classes: 3}
    inputs: [{name: rows, datatype: FP32, shape: [-1, 4]}]
    outputs: [{name: scores, datatype: FP32, shape: [-1, 3], labels: [red, green, blue]}]
"""


def write(folder: Path, description: str = DESCRIPTION, source: str = SOURCE) -> Path:
    """Write model.py and model.yaml; empty texts leave the file out."""
    for name, text in (("model.py", source), ("model.yaml", description)):
        if text:
            (folder / name).write_text(textwrap.dedent(text))
    return folder


def net(seed: int = 0) -> Any:
    """Return the module of SOURCE with weights of its own."""
    import torch

    from tests.predictor.runtimes.net import Net

    torch.manual_seed(seed)
    return Net().eval()


def save_state(folder: Path, module: Any) -> Path:
    from safetensors.torch import save_file

    save_file(module.state_dict(), folder / "model.safetensors")
    return folder
