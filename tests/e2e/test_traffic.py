"""Two revisions of one service: a tag asked for by a header, sessions that stay, and copies that nobody notices."""

from __future__ import annotations

import collections
from typing import Any

import httpx
import pytest

from tests.support.laptop import Laptop, wait_for
from tests.support.manifests import knative_service

pytestmark = pytest.mark.e2e

NAME = "traffic"
SERVER = """
import json, os, signal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        told = {name.lower(): value for name, value in self.headers.items()}
        print("asked", text, told.get("torpor-mirrored"), told["x-request-id"], flush=True)
        body = json.dumps({"pid": os.getpid(), "revision": os.environ["K_REVISION"], "headers": told}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

def stop(*_):
    raise SystemExit

signal.signal(signal.SIGTERM, stop)
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Server).serve_forever()
"""


def service(revision: str, pods: int, traffic: list[dict[str, Any]], mirror: str = "") -> dict[str, Any]:
    annotations = {
        "autoscaling.knative.dev/min-scale": str(pods),
        "torpor.dev/session-affinity": "cookie=sid",
    }
    obj = knative_service(NAME, annotations=annotations)
    obj["spec"]["template"]["metadata"]["name"] = revision
    obj["spec"]["template"]["spec"]["containers"][0]["command"] = ["python3", "-u", "-c", SERVER]
    obj["spec"]["traffic"] = traffic
    if mirror:
        obj["metadata"]["annotations"] = {"torpor.dev/mirror": mirror}
    return obj


def asked(laptop: Laptop, revision: str) -> list[list[str]]:
    """What the pods of a revision say that they were asked: text, mark, id."""
    pods = laptop.list("pods", f"serving.knative.dev/revision={revision}")
    logs = [laptop.kubectl("logs", pod["metadata"]["name"]).stdout for pod in pods]
    return [line.split()[1:] for log in logs for line in log.splitlines() if line.startswith("asked ")]


def test_tags_sessions_and_copies(laptop: Laptop) -> None:
    """All of it at once, as a canary that is tried out before it gets traffic."""
    one, two = f"{NAME}-one", f"{NAME}-two"
    everything = {"revisionName": one, "percent": 100}
    laptop.apply(service(one, 2, [everything]))
    laptop.wait_ready("ksvc", NAME)
    laptop.apply(service(two, 1, [everything, {"revisionName": two, "tag": "next", "percent": 0}], f"{two}=50"))
    laptop.wait_ready("ksvc", NAME)
    for revision, pods in ((one, 2), (two, 1)):
        label = f"serving.knative.dev/revision={revision}"
        wait_for(lambda label=label, pods=pods: len(_ready(laptop, label)) == pods, 60, f"{revision} has its pods", 0.2)

    with laptop.client(NAME) as client:
        # A tag, by header.
        tagged = client.post("/", content="tagged", headers={"Knative-Serving-Tag": "next"}).json()
        assert (tagged["revision"], tagged["headers"]["knative-serving-tag"]) == (two, "next")
        unknown = client.post("/", content="unknown", headers={"Knative-Serving-Tag": "none"}).json()
        assert (unknown["revision"], unknown["headers"]["knative-serving-default-route"]) == (one, "true")

    # Sessions: whoever comes again with the cookie comes to the same pod, and not all come to one.
    homes = collections.Counter[int]()
    for _ in range(10):
        with laptop.client(NAME) as client:
            # A client that keeps its cookies as a browser does, but for the name of the host.
            first = client.post("/", content="session")
            client.headers["Cookie"] = first.headers["Set-Cookie"].partition(";")[0]
            again = [client.post("/", content="session") for _ in range(4)]
        pids = {answer.json()["pid"] for answer in [first, *again]}
        assert len(pids) == 1
        assert not any("Set-Cookie" in answer.headers for answer in again)
        homes.update(pids)
    assert len(homes) == 2, homes

    # Copies: half of the requests, with their ids; answers are the original's alone.
    with laptop.client(NAME) as client:
        answers = [client.post("/", content=f"copied-{number}") for number in range(20)]
    assert {answer.json()["revision"] for answer in answers} == {one}
    ids = {answer.headers["X-Request-Id"] for answer in answers}
    assert len(ids) == 20

    def copies() -> list[list[str]]:
        return [line for line in asked(laptop, two) if line[0].startswith("copied-")]

    wait_for(lambda: len(copies()) >= 10, 30, "half of them were copied", 0.2)
    assert len(copies()) == 10
    assert {mark for _, mark, _ in copies()} == {"true"}
    assert {name for _, _, name in copies()} < ids
    originals = [line for line in asked(laptop, one) if line[0].startswith("copied-")]
    assert ({mark for _, mark, _ in originals}, len(originals)) == ({"None"}, 20)
    token = (laptop.data_dir / "token").read_text().strip()
    metrics = httpx.get(
        f"http://127.0.0.1:{laptop.admin_port}/metrics", headers={"Authorization": f"Bearer {token}"}
    ).text
    assert f'torpor_activator_mirrored_total{{namespace="default",result="answered",revision="{two}"}}' in metrics
    laptop.kubectl("delete", "ksvc", NAME, "--wait=false")


def _ready(laptop: Laptop, label: str) -> list[dict[str, Any]]:
    pods = laptop.list("pods", label)
    return [
        pod
        for pod in pods
        if any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions") or ())
    ]
