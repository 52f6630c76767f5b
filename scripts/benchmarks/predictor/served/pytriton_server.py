import os

import numpy as np
import work
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig


@batch
def answer(x):
    return [compute(x)]


@batch
def echo(echo):
    return [echo]


compute = work.model()
port = int(os.environ["PORT"])
delay_us = int(work.DELAY_S * 1e6) if work.BATCH > 1 else 0
batcher = DynamicBatcher(max_queue_delay_microseconds=delay_us)
many = ModelConfig(batching=True, max_batch_size=work.BATCH, batcher=batcher)
single = ModelConfig(batching=True, max_batch_size=1, batcher=DynamicBatcher())
addresses = TritonConfig(
    http_address="127.0.0.1", http_port=port, grpc_address="127.0.0.1", grpc_port=port + 1, allow_metrics=False
)
with Triton(config=addresses) as triton:
    triton.bind(
        model_name="m",
        infer_func=answer,
        inputs=[Tensor(name="x", dtype=np.float32, shape=(work.WIDTH,))],
        outputs=[Tensor(name="y", dtype=np.float32, shape=(work.OUTPUTS,))],
        config=many,
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
