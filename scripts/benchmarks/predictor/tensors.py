"""Tensors of 16 MB there and back, by Triton's own clients: gigabytes a second, both ways counted."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import tritonclient.grpc
import tritonclient.http
from peers import TRITON
from servers import Running

ELEMENTS = 4 * 2**20
LIMIT = 256 * 2**20


def gbps(server: Running, protocol: str, seconds: float) -> float:
    """Return the median over the calls of `seconds`, one at a time."""
    is_triton = server.peer.name == TRITON
    name = "echo" if is_triton else "m"
    sent = np.arange(ELEMENTS, dtype=np.float32)
    shape = [1, ELEMENTS]
    call, close = _http(server, name, sent, shape) if protocol == "http" else _grpc(server, name, sent, shape)
    try:
        back = call()
        assert np.array_equal(back.ravel(), sent), f"{server.peer.name} gave back another tensor"
        rates: list[float] = []
        end_s = time.perf_counter() + seconds
        while time.perf_counter() < end_s or len(rates) < 3:
            began_s = time.perf_counter()
            call()
            rates.append(2 * sent.nbytes / (time.perf_counter() - began_s) / 1e9)
        return statistics.median(rates)
    finally:
        close()


def _http(
    server: Running, name: str, sent: np.ndarray, shape: list[int]
) -> tuple[Callable[[], np.ndarray], Callable[[], None]]:
    client = tritonclient.http.InferenceServerClient(f"127.0.0.1:{server.port}", network_timeout=60)
    given = tritonclient.http.InferInput("echo", shape, "FP32")
    wanted = [tritonclient.http.InferRequestedOutput("echoed", binary_data=True)]

    def call() -> np.ndarray:
        given.set_data_from_numpy(sent.reshape(shape))
        return client.infer(name, [given], outputs=wanted).as_numpy("echoed")

    return call, client.close


def _grpc(
    server: Running, name: str, sent: np.ndarray, shape: list[int]
) -> tuple[Callable[[], np.ndarray], Callable[[], None]]:
    port = server.port + 1 if server.peer.name == TRITON else server.port
    options = [("grpc.max_receive_message_length", LIMIT), ("grpc.max_send_message_length", LIMIT)]
    client = tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{port}", channel_args=options)
    given = tritonclient.grpc.InferInput("echo", shape, "FP32")

    def call() -> np.ndarray:
        given.set_data_from_numpy(sent.reshape(shape))
        return client.infer(name, [given]).as_numpy("echoed")

    return call, client.close
