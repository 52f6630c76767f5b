"""gRPC through a whole laptop: a service at zero, called by an official client, without and with TLS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from tests.activator.tls.certificates import pair
from tests.support.laptop import Laptop, running_laptop, wait_for
from tests.support.manifests import SOON, knative_service

pytestmark = pytest.mark.e2e

SERVER = """
import os, signal, threading
from concurrent.futures import ThreadPoolExecutor
import grpc

def answer(message, context):
    context.set_trailing_metadata([("pid", str(os.getpid()))])
    return message.upper()

def count(message, context):
    for number in range(int(message)):
        yield b"%d" % number

server = grpc.server(ThreadPoolExecutor(4))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("demo.Demo", {
    "Answer": grpc.unary_unary_rpc_method_handler(answer),
    "Count": grpc.unary_stream_rpc_method_handler(count),
}),))
server.add_insecure_port("127.0.0.1:" + os.environ["PORT"])
server.start()
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
stop.wait()
server.stop(5).wait()
"""


def service(name: str) -> dict[str, Any]:
    container = {
        "image": "example.com/demo",
        "command": ["python3", "-u", "-c", SERVER],
        "ports": [{"name": "h2c", "containerPort": 9000}],
    }
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "template": {
                "metadata": {"annotations": SOON},
                "spec": {"containerConcurrency": 4, "containers": [container]},
            }
        },
    }


def channel(laptop: Laptop, name: str, certificate: bytes | None = None) -> grpc.Channel:
    """Return a client of one service, which needs no name server."""
    host = f"{name}.default.localhost"
    options = [("grpc.default_authority", f"{host}:{laptop.grpc_port}"), ("grpc.enable_http_proxy", 0)]
    target = f"127.0.0.1:{laptop.grpc_port}"
    if certificate is None:
        return grpc.insecure_channel(target, options)
    options.append(("grpc.ssl_target_name_override", host))
    return grpc.secure_channel(target, grpc.ssl_channel_credentials(certificate), options)


def test_a_service_at_zero_is_woken_by_a_call(laptop: Laptop) -> None:
    """The call waits for the pod; many at once are all answered; HTTP/1.1 reaches the same service."""
    laptop.apply(service("demo"))
    laptop.wait_ready("ksvc", "demo")
    laptop.wait_zero("demo")
    with channel(laptop, "demo") as client:
        ask = client.unary_unary("/demo.Demo/Answer")
        answer, made = ask.with_call(b"hello", timeout=60)
        assert answer == b"HELLO"
        assert "torpor-cold-start" in dict(made.initial_metadata())
        assert int(dict(made.trailing_metadata())["pid"])
        calls = [ask.future(b"%d" % number, timeout=60) for number in range(200)]
        assert [each.result() for each in calls] == [b"%d" % number for number in range(200)]
        assert [int(each) for each in client.unary_stream("/demo.Demo/Count")(b"100", timeout=60)] == list(range(100))
        with pytest.raises(grpc.RpcError) as error:
            client.unary_unary("/demo.Demo/Nothing")(b"", timeout=60)
        assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
    with laptop.client("demo") as http:
        headers = {"Content-Type": "application/grpc"}
        assert http.post("/demo.Demo/Answer", content=framed(b"hello"), headers=headers).content == framed(b"HELLO")
    laptop.wait_zero("demo")


def test_tls_on_both_ports_with_a_certificate_that_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`torpor up` waits for its certificate, takes the next one as it comes, and its URLs say https."""
    first, second = (pair(host="*.default.localhost") for _ in range(2))
    with running_laptop(tmp_path, "--tls-secret", "default/door") as laptop:
        laptop.apply(service("demo"), knative_service("plain"))
        laptop.wait_ready("ksvc", "demo")
        assert laptop.get("ksvc", "demo")["status"]["url"] == f"https://demo.default.localhost:{laptop.http_port}"
        assert not _answers(laptop, first.certificate, timeout_s=1)
        for each in (first, second):
            laptop.apply(each.secret())
            wait_for(lambda each=each: _answers(laptop, each.certificate), 30, "the certificate is in use", every_s=0.2)
        with httpx.Client(verify=second.trusting(), timeout=60) as http:
            answer = http.post(
                f"https://127.0.0.1:{laptop.http_port}/demo.Demo/Answer",
                headers=laptop.host("demo") | {"Content-Type": "application/grpc"},
                extensions={"sni_hostname": "demo.default.localhost"},
                content=framed(b"hello"),
            )
            assert answer.content == framed(b"HELLO")
        (tmp_path / "ca.crt").write_bytes(second.certificate)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
        asked = laptop.torpor("predict", "ksvc/plain", "--path", "/?n=7")
        assert (asked.returncode, '"n": "7"' in asked.stdout) == (0, True), asked.stderr
        events = {each["reason"] for each in laptop.list("events") if each["involvedObject"]["name"] == "door"}
        assert events == {"CertificateUsed"}


def framed(message: bytes) -> bytes:
    """Return a message as gRPC has it in a body."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def _answers(laptop: Laptop, certificate: bytes, timeout_s: float = 10) -> bool:
    with channel(laptop, "demo", certificate) as client:
        try:
            return bool(client.unary_unary("/demo.Demo/Answer")(b"hello", timeout=timeout_s) == b"HELLO")
        except grpc.RpcError:
            return False
