"""Objects that tests apply: as short as the API allows."""

from __future__ import annotations

from typing import Any

SOON = {"autoscaling.knative.dev/window": "6s"}
"""The shortest window there is: zero comes six seconds after the last request."""

SERVER = """
import json, os, signal, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    lock, in_flight, most = threading.Lock(), 0, 0

    def do_GET(self):
        with self.lock:
            Server.in_flight += 1
            Server.most = max(Server.most, Server.in_flight)
        query = parse_qs(urlsplit(self.path).query)
        print("got", self.path, flush=True)
        time.sleep(float(query.get("s", ["0"])[0]))
        with self.lock:
            Server.in_flight -= 1
        said = {"pid": os.getpid(), "n": query.get("n", [None])[0], "most": Server.most}
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *args):
        pass

class Threaded(ThreadingHTTPServer):
    request_queue_size = 256

def stop(*_):
    raise SystemExit

time.sleep(float(os.environ.get("START_SECONDS", "0")))
signal.signal(signal.SIGTERM, stop)
Threaded(("127.0.0.1", int(os.environ["PORT"])), Server).serve_forever()
"""
"""Answers `/?n=N&s=S` with N after S seconds, and says in its log what it was asked.

With it goes `most`: how many requests it had at once so far, at most. A request counts until its answer begins: with
the last byte of that somebody else may come.
"""


def knative_service(
    name: str,
    *,
    concurrency: int = 0,
    env: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
) -> dict[str, Any]:
    """A Knative Service that runs `SERVER`."""
    container = {
        "image": "example.com/server",
        "command": ["python3", "-u", "-c", SERVER],
        "env": [{"name": key, "value": value} for key, value in (env or {}).items()],
    }
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "template": {
                "metadata": {"annotations": {"autoscaling.knative.dev/max-scale": "3"} | SOON | (annotations or {})},
                "spec": {"containerConcurrency": concurrency, "containers": [container]},
            }
        },
    }


def inference_service(
    name: str,
    format_: str,
    uri: str,
    *,
    env: dict[str, str] | None = None,
    predictor: dict[str, Any] | None = None,
    annotations: dict[str, str] | None = None,
) -> dict[str, Any]:
    """An InferenceService in the `model` form that may sleep."""
    model = {
        "modelFormat": {"name": format_},
        "storageUri": uri,
        "env": [{"name": key, "value": value} for key, value in (env or {}).items()],
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": "default", "annotations": SOON | (annotations or {})},
        "spec": {"predictor": {"minReplicas": 0, "maxReplicas": 3, "model": model} | (predictor or {})},
    }


def s3_access(name: str, endpoint: str, access_key: str, secret_key: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A Secret as KServe reads it, and the ServiceAccount that has it; both called `name`."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": "default",
            "annotations": {
                "serving.kserve.io/s3-endpoint": endpoint.removeprefix("http://"),
                "serving.kserve.io/s3-usehttps": "0",
                "serving.kserve.io/s3-region": "us-east-1",
            },
        },
        "stringData": {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key},
    }
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": "default"},
        "secrets": [{"name": name}],
    }
    return secret, account
