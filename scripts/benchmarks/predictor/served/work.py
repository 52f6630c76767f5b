"""What every server here computes: MODEL=sum, of four numbers; or mlp, a network of 34 MB of weights."""

import itertools
import os

import numpy as np

NAME = os.environ.get("MODEL", "sum")
BATCH = 16 if NAME == "mlp" else 1
DELAY_S = 0.005
"""What those are told that wait for a batch by the clock."""
WIDTH = 64 if NAME == "mlp" else 4
OUTPUTS = 8 if NAME == "mlp" else 1
HIDDEN = 2048


def model():
    """Return what makes [n, OUTPUTS] of [n, WIDTH], both float32."""
    return _mlp() if NAME == "mlp" else _sum


def _sum(rows):
    return np.asarray(rows, np.float32).sum(axis=1, keepdims=True)


def _mlp():
    import torch  # noqa: PLC0415  # the sum has no need of it

    torch.set_num_threads(1)
    torch.manual_seed(0)
    sizes = (WIDTH, HIDDEN, HIDDEN, HIDDEN, OUTPUTS)
    layers = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers[:-1]).eval()

    def compute(rows):
        with torch.inference_mode():
            return net(torch.from_numpy(np.ascontiguousarray(rows, np.float32))).numpy()

    compute(np.zeros((1, WIDTH), np.float32))
    return compute
