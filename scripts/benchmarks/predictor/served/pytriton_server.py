import os

import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig


@batch
def total(x):
    return [x.sum(axis=1, keepdims=True)]


@batch
def echo(echo):
    return [echo]


port = int(os.environ["PORT"])
single = ModelConfig(batching=True, max_batch_size=1, batcher=DynamicBatcher())
addresses = TritonConfig(
    http_address="127.0.0.1", http_port=port, grpc_address="127.0.0.1", grpc_port=port + 1, allow_metrics=False
)
with Triton(config=addresses) as triton:
    triton.bind(
        model_name="m",
        infer_func=total,
        inputs=[Tensor(name="x", dtype=np.float32, shape=(4,))],
        outputs=[Tensor(name="y", dtype=np.float32, shape=(1,))],
        config=single,
        strict=False,
    )
    triton.bind(
        model_name="echo",
        infer_func=echo,
        inputs=[Tensor(name="echo", dtype=np.float32, shape=(-1,))],
        outputs=[Tensor(name="echoed", dtype=np.float32, shape=(-1,))],
        config=single,
        strict=False,
    )
    triton.serve()
