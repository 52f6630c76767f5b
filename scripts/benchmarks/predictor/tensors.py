"""Tensors of 16 MB there and back, by Triton's own clients: gigabytes a second, both ways counted.

`python tensors.py PROTOCOL PORT MODEL SECONDS` prints them. A process for each: greenlets of the HTTP client and
threads of the gRPC one do not go together.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import tritonclient.grpc
import tritonclient.http
from peers import TRITON
from servers import Running
from tritonclient.utils import InferenceServerException

ELEMENTS = 4 * 2**20
LIMIT = 256 * 2**20
PATIENCE_S = 20.0
SHAPE = [1, ELEMENTS]


def gbps(server: Running, protocol: str, core: int, seconds: int) -> float:
    """Return the median over the calls of `seconds`, one at a time, by a client on this core."""
    name = "echo" if server.peer.name == TRITON else "m"
    port = server.port if protocol == "http" else server.port + 1
    command = ["taskset", "-c", str(core), sys.executable, __file__, protocol, str(port), name, str(seconds)]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def measured(call: Callable[[np.ndarray], np.ndarray], seconds: float) -> float:
    """Call for so long; returns the median."""
    sent = np.arange(ELEMENTS, dtype=np.float32).reshape(SHAPE)
    assert np.array_equal(_first(call, sent), sent), "another tensor came back"
    rates: list[float] = []
    end_s = time.perf_counter() + seconds
    while time.perf_counter() < end_s or len(rates) < 3:
        began_s = time.perf_counter()
        call(sent)
        rates.append(2 * sent.nbytes / (time.perf_counter() - began_s) / 1e9)
    return statistics.median(rates)


def _first(call: Callable[[np.ndarray], np.ndarray], sent: np.ndarray) -> np.ndarray:
    """Return the first answer: a server may have its models one after the other."""
    end_s = time.perf_counter() + PATIENCE_S
    while True:
        try:
            return call(sent)
        except InferenceServerException:
            if time.perf_counter() > end_s:
                raise
            time.sleep(0.1)


def by_http(port: str, name: str) -> Callable[[np.ndarray], np.ndarray]:
    """Return a call by Triton's HTTP client, binary both ways."""
    client = tritonclient.http.InferenceServerClient(f"127.0.0.1:{port}", network_timeout=60)
    given = tritonclient.http.InferInput("echo", SHAPE, "FP32")
    wanted = [tritonclient.http.InferRequestedOutput("echoed", binary_data=True)]

    def call(sent: np.ndarray) -> np.ndarray:
        given.set_data_from_numpy(sent)
        return client.infer(name, [given], outputs=wanted).as_numpy("echoed")

    return call


def by_grpc(port: str, name: str) -> Callable[[np.ndarray], np.ndarray]:
    """Return a call by Triton's gRPC client."""
    options = [("grpc.max_receive_message_length", LIMIT), ("grpc.max_send_message_length", LIMIT)]
    client = tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{port}", channel_args=options)
    given = tritonclient.grpc.InferInput("echo", SHAPE, "FP32")

    def call(sent: np.ndarray) -> np.ndarray:
        given.set_data_from_numpy(sent)
        return client.infer(name, [given]).as_numpy("echoed")

    return call


if __name__ == "__main__":
    PROTOCOL, PORT, MODEL, SECONDS = sys.argv[1:]
    print(measured((by_http if PROTOCOL == "http" else by_grpc)(PORT, MODEL), float(SECONDS)))
