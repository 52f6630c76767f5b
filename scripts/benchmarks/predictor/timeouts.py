"""How exact a request's time to wait is: requests of 50 ms behind an execution that takes two seconds."""

from __future__ import annotations

import http.client
import json
import threading
import time

from servers import Running

from torpor.errors import UpstreamError

TIMEOUT_MS = 50
AT_ONCE = 8


def waits_ms(server: Running) -> list[float]:
    """Return after how many milliseconds each of some requests was told that its time is over."""
    busy = threading.Thread(target=_ask, args=(server.port, 1.0, None))
    busy.start()
    time.sleep(0.3)  # it is being executed
    found: list[float] = []
    threads = [threading.Thread(target=_timed, args=(server.port, found)) for _ in range(AT_ONCE)]
    for _ in range(4):
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        threads = [threading.Thread(target=_timed, args=(server.port, found)) for _ in range(AT_ONCE)]
    if not busy.is_alive():
        raise UpstreamError("the execution ended before the requests behind it")
    busy.join()
    return found


def _timed(port: int, found: list[float]) -> None:
    began_s = time.perf_counter()
    status = _ask(port, 0.0, TIMEOUT_MS)
    if status != 504:
        raise UpstreamError(f"a request that may wait {TIMEOUT_MS} ms was answered with {status}")
    found.append((time.perf_counter() - began_s) * 1000)


def _ask(port: int, value: float, timeout_ms: int | None) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    tensor = {"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [value]}
    parameters = {} if timeout_ms is None else {"timeout": timeout_ms * 1000}
    body = json.dumps({"inputs": [tensor], "parameters": parameters})
    try:
        connection.request("POST", "/v2/models/m/infer", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()
