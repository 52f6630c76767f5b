"""Requests that are wrong: status and message through door and pod."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.laptop import Laptop
from tests.support.manifests import inference_service
from tests.support.models import save_iris

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def iris(laptop: Laptop) -> Iterator[httpx.Client]:
    """A client of a scikit-learn model that stays awake."""
    save_iris(laptop.data_dir / "volumes/default/models/iris-bad")
    obj = inference_service("iris-bad", "sklearn", "pvc://models/iris-bad", predictor={"minReplicas": 1})
    laptop.apply(obj)
    laptop.wait_ready("isvc", "iris-bad")
    with laptop.client("iris-bad") as http:
        yield http
    laptop.kubectl("delete", "isvc", "iris-bad", "--wait=false")


def tensor(**changes: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "input-0", "shape": [1, 4], "datatype": "FP64", "data": [1, 2, 3, 4]} | changes]}


V1 = "/v1/models/iris-bad:predict"
V2 = "/v2/models/iris-bad/infer"


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        pytest.param(V2, tensor(shape=[2, 4]), 400, "shape", id="a-shape-that-the-data-does-not-fill"),
        pytest.param(V2, tensor(shape=[1, 3], data=[1, 2, 3]), 400, "4", id="a-shape-the-model-does-not-take"),
        pytest.param(V2, tensor(shape=[-1, 4]), 400, "shape", id="a-negative-shape"),
        pytest.param(V2, tensor(datatype="FLOAT"), 400, "datatype", id="a-datatype-that-is-none"),
        pytest.param(V2, tensor(datatype="INT64", data=["x"] * 4), 400, "data", id="data-of-another-type"),
        pytest.param(V2, {"inputs": []}, 400, "inputs", id="no-inputs"),
        pytest.param(V2, {}, 400, "inputs", id="no-inputs-field"),
        pytest.param(V1, {}, 400, "instances", id="v1-without-instances"),
        pytest.param(V1, {"instances": "x"}, 400, "instances", id="v1-instances-that-are-no-list"),
        pytest.param(V1, b"{", 400, "JSON", id="no-json"),
        pytest.param("/v2/models/other/infer", tensor(), 404, "other", id="a-wrong-model-name"),
        pytest.param("/v1/models/other:predict", {"instances": [1]}, 404, "other", id="a-wrong-model-name-by-v1"),
        pytest.param("/v3", {}, 404, "/v3", id="a-path-that-is-none"),
    ],
)
def test_a_request_that_is_wrong_is_answered_with_what_is_wrong(
    iris: httpx.Client, path: str, body: Any, status: int, says: str
) -> None:
    """The status is the client's fault, and the message names the field."""
    answer = iris.post(path, content=body) if isinstance(body, bytes) else iris.post(path, json=body)
    assert answer.status_code == status, answer.text
    assert says in answer.json()["error"]


def test_a_body_of_2_gib_is_refused_before_it_is_sent(iris: httpx.Client, laptop: Laptop) -> None:
    """413 from the Content-Length alone; the pod goes on answering others."""
    head = f"POST {V1} HTTP/1.1\r\nHost: iris-bad.default.localhost\r\nContent-Length: {2 * 2**30}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", laptop.http_port), timeout=30) as connection:
        connection.sendall(head.encode())
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413 "), answer[:200]
    assert iris.post(V1, json={"instances": [[5.1, 3.5, 1.4, 0.2]]}).json() == {"predictions": [0]}


def test_a_body_of_2_gib_in_chunks_is_refused_on_the_way(laptop: Laptop, iris: httpx.Client) -> None:
    """Nobody reads it to the end, nobody keeps it in memory."""
    head = f"POST {V1} HTTP/1.1\r\nHost: iris-bad.default.localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    sent = 0
    with socket.create_connection(("127.0.0.1", laptop.http_port), timeout=60) as connection:
        connection.sendall(head.encode())
        with contextlib.suppress(ConnectionError):  # the server may close as soon as it has seen enough
            while sent < 2 * 2**30:
                connection.sendall(chunk)
                sent += 0x100000
        answer = b""
        with contextlib.suppress(ConnectionError):
            answer = connection.recv(65536)
    assert sent < 2 * 2**30
    assert answer.startswith(b"HTTP/1.1 413 ") or not answer
    assert iris.post(V1, json={"instances": [[5.1, 3.5, 1.4, 0.2]]}).status_code == 200


@pytest.mark.parametrize(
    ("host", "path", "says"),
    [
        pytest.param("nobody.default.localhost", "/", "nobody.default.localhost", id="an-unknown-host"),
        pytest.param("127.0.0.1", "/serving/default/nobody/", "nobody", id="an-unknown-path"),
    ],
)
def test_a_service_that_does_not_exist_is_404(laptop: Laptop, host: str, path: str, says: str) -> None:
    """The message names what was asked for."""
    answer = httpx.get(f"http://127.0.0.1:{laptop.http_port}{path}", headers={"Host": host})
    assert answer.status_code == 404
    assert says in answer.json()["error"]
    assert answer.json()["reason"] == "NotFound"


def test_wrong_tokens_and_foreign_hosts_are_refused(laptop: Laptop) -> None:
    """The API asks for its token even on loopback, and does not answer to another name."""
    url = f"https://127.0.0.1:{laptop.api_port}/api/v1/namespaces"
    token = (laptop.data_dir / "token").read_text().strip()
    authority = ssl.create_default_context(cafile=laptop.data_dir / "pki" / "ca.crt")
    with httpx.Client(verify=authority) as http:
        assert http.get(url).status_code == 401
        assert http.get(url, headers={"Authorization": "Bearer wrong"}).status_code == 401
        right = {"Authorization": f"Bearer {token}"}
        assert http.get(url, headers=right).status_code == 200
        assert http.get(url, headers=right | {"Host": "evil.example"}).status_code in {403, 421}
        assert http.get(url, headers=right | {"Origin": "https://evil.example"}).status_code == 403
