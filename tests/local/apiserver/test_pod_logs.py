"""`kubectl logs`: what a container wrote, from files that the kubelet appends to; and `pods/proxy`."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from unittest import mock

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.local.apiserver.objects import CONTAINER, make
from tests.local.apiserver.server import Api
from torpor.local.apiserver import podlogs
from torpor.local.apiserver.podlogs import tail_offset
from torpor.spec.kinds import POD

LINES = b"".join(b"line %d\n" % number for number in range(1, 6))


def container_is(state: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": "c", "image": "x", "imageID": "", "ready": False, "restartCount": 0, "state": state}]


class Pod:
    """A pod of the API, whose kubelet the test plays."""

    def __init__(self, api: Api, namespace: str, *containers: str, **metadata: Any) -> None:
        self.api = api
        self.namespace = namespace
        body = make(POD, "p", namespace, **metadata)
        body["spec"] = {"containers": [CONTAINER | {"name": name} for name in containers or ("c",)]}
        uid = api.create(POD, body, namespace)["metadata"]["uid"]
        self.folder = api.server.data_dir / "pods" / f"{namespace}_p_{uid}"

    def wrote(self, content: bytes, *, run: int = 0, container: str = "c") -> Path:
        path = self.folder / container / f"{run}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(content)
        return path

    def is_(self, **status: Any) -> None:
        self.api.patch(POD, "p", {"status": status}, "merge", self.namespace, sub="status")

    def log(self, code: int = 200, **query: Any) -> bytes:
        answer = self.api.http.get(POD.path(self.namespace, "p", "log"), params=query)
        assert answer.status_code == code, answer.text
        return answer.content

    def refusal(self, **query: Any) -> str:
        found: str = orjson.loads(self.log(400, **query))["message"]
        return found


@pytest.fixture
def pod(api: Api, namespace: str) -> Pod:
    found = Pod(api, namespace)
    found.wrote(LINES)
    return found


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        pytest.param({}, LINES, id="all of it"),
        pytest.param({"tailLines": 2}, b"line 4\nline 5\n", id="the last two lines"),
        pytest.param({"tailLines": 0}, b"", id="no line"),
        pytest.param({"tailLines": 99}, LINES, id="more lines than there are"),
        pytest.param({"limitBytes": 9}, LINES[:9], id="some bytes"),
        pytest.param({"tailLines": 2, "limitBytes": 4}, b"line", id="some bytes of the last lines"),
        pytest.param({"sinceSeconds": 3600}, LINES, id="written within the hour"),
        pytest.param({"sinceTime": "2099-01-01T00:00:00Z"}, b"", id="written in the future"),
        pytest.param({"container": "c"}, LINES, id="of the container by its name"),
    ],
)
def test_what_was_written(pod: Pod, query: dict[str, Any], wanted: bytes) -> None:
    """As much as was asked for."""
    assert pod.log(**query) == wanted


def test_with_times(pod: Pod) -> None:
    """One before each line."""
    lines = pod.log(timestamps="true").splitlines()
    assert [line.split(b" ", 1)[1] for line in lines] == LINES.splitlines()
    assert all(line.startswith(b"20") and line.split(b" ")[0].endswith(b"Z") for line in lines)


def test_bytes_are_passed_as_they_are(api: Api, namespace: str) -> None:
    """A log need not be text."""
    found = Pod(api, namespace)
    found.wrote(bytes(range(256)))
    assert found.log() == bytes(range(256))


def test_the_newest_run_and_the_one_before(pod: Pod) -> None:
    """`--previous` shows what the container said before it was started again."""
    assert pod.refusal(previous="true") == 'previous terminated container "c" in pod "p" not found'
    pod.wrote(b"second\n", run=1)
    pod.wrote(b"tenth\n", run=10)
    assert pod.log() == b"tenth\n"
    assert pod.log(previous="true") == b"second\n"


def test_following(pod: Pod) -> None:
    """What is written comes at once; the stream ends when the container does, with its last words."""
    pod.is_(phase="Running", containerStatuses=container_is({"running": {}}))
    path = POD.path(pod.namespace, "p", "log")
    with pod.api.http.stream("GET", path, params={"follow": "true", "tailLines": "1"}) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "line 5"
        pod.wrote(b"line 6\n")
        assert next(lines) == "line 6"
        pod.wrote(b"last words\n")
        pod.is_(containerStatuses=container_is({"terminated": {"exitCode": 0}}))
        assert list(lines) == ["last words"]


@pytest.mark.parametrize("how", ["deleted", "restarted"])
def test_following_ends_with_the_run(pod: Pod, how: str) -> None:
    """A pod that is gone writes no more; a container that was started again has a log of its own."""
    pod.is_(phase="Running", containerStatuses=container_is({"running": {}}))
    path = POD.path(pod.namespace, "p", "log")
    with pod.api.http.stream("GET", path, params={"follow": "true"}) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "line 1"
        if how == "deleted":
            pod.api.delete(POD, "p", pod.namespace, {"gracePeriodSeconds": 0})
        else:
            pod.wrote(b"another run\n", run=1)
        assert list(lines)[-1:] == ["line 5"]


def test_before_there_is_one(api: Api, namespace: str) -> None:
    """400, with what the container waits for: kubectl shows that."""
    found = Pod(api, namespace)
    assert found.refusal() == 'container "c" in pod "p" is waiting to start: ContainerCreating'
    waiting = {"waiting": {"reason": "ErrImageNeverPull", "message": "a command is needed"}}
    found.is_(containerStatuses=container_is(waiting))
    assert found.refusal().endswith("is waiting to start: ErrImageNeverPull: a command is needed")


def test_of_several_containers_one_must_be_named(api: Api, namespace: str) -> None:
    """The error lists them; an annotation may say which is meant."""
    found = Pod(api, namespace, "one", "two")
    found.wrote(b"of two\n", container="two")
    assert found.refusal() == "a container name must be specified for pod p, choose one of: [one two]"
    assert found.log(container="two") == b"of two\n"
    assert found.refusal(container="three") == "container three is not valid for pod p"
    note = {"metadata": {"annotations": {"kubectl.kubernetes.io/default-container": "two"}}}
    api.patch(POD, "p", note, "merge", namespace)
    assert found.log() == b"of two\n"


@pytest.mark.parametrize(
    "query", [{"tailLines": "x"}, {"tailLines": "-1"}, {"sinceTime": "yesterday"}, {"limitBytes": "1.5"}], ids=str
)
def test_options_that_are_none(pod: Pod, query: dict[str, str]) -> None:
    """400."""
    pod.log(400, **query)


def test_of_a_pod_that_is_not_there(api: Api, namespace: str) -> None:
    """404; and a log is only read."""
    api.request("GET", POD.path(namespace, "p", "log"), code=404)
    api.request("POST", POD.path(namespace, "p", "log"), {}, code=405)


@given(lines=st.lists(st.binary(max_size=20).map(lambda raw: raw.replace(b"\n", b"")), max_size=12), data=st.data())
def test_the_last_lines_are_the_last_lines(lines: list[bytes], data: st.DataObject) -> None:
    """Whatever is in them, whether or not the last has ended, and wherever a block of reading ends."""
    ended = data.draw(st.booleans()) or not lines or not lines[-1]
    content = b"\n".join(lines) + (b"\n" if ended and lines else b"")
    count = data.draw(st.integers(0, 15))
    wanted = b"".join(line + b"\n" for line in lines[max(0, len(lines) - count) :] if count)
    with mock.patch.object(podlogs, "CHUNK", 7):
        offset = tail_offset(io.BytesIO(content), count)
    assert content[offset:] == (wanted if ended else wanted[:-1])


# --- proxy -----------------------------------------------------------------------------------------------------


class _Echo(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"{self.path} {self.headers.get('Authorization')} {self.headers.get('X-A')}".encode()
        self.send_response(418)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that answers with what it was asked."""
    server = HTTPServer(("127.0.0.1", 0), _Echo)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


def test_proxy(api: Api, namespace: str, echo: int) -> None:
    """The pod's own answer, at the port where it really listens; it never sees the token."""
    found = Pod(api, namespace, annotations={"torpor.dev/port": str(echo)})
    path = POD.path(namespace, "p", "proxy")
    assert api.http.get(path).status_code == 503
    found.is_(podIP="127.0.0.1")
    for name in ("p", "p:8080"):
        answer = api.http.get(f"{POD.path(namespace, name)}/proxy/progress", params={"a": "b"}, headers={"X-A": "1"})
        assert (answer.status_code, answer.text) == (418, "/progress?a=b None 1")


def test_proxy_to_nobody(api: Api, namespace: str) -> None:
    """503, with the pod's name."""
    found = Pod(api, namespace, annotations={"torpor.dev/port": "1"})
    found.is_(podIP="127.0.0.1")
    answer = api.http.get(POD.path(namespace, "p", "proxy"))
    assert answer.status_code == 503
    assert "error trying to reach pod 'p'" in answer.json()["message"]
