"""The API server as a process, and a client of it that keeps what the answers really were."""

from __future__ import annotations

import contextlib
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import orjson

from tests.support.ports import free_ports
from torpor.spec.kinds import Kind, Object

START_S = 30.0
TYPES = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}


class Server:
    """`python -m torpor.local.apiserver` on one data directory and one port, through any number of lives."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.data_dir = folder / "data"
        [self.port] = free_ports(1)
        self._arguments = arguments
        self._log = folder / "apiserver.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return when it serves: it writes one byte to the descriptor that it was given."""
        reader, writer = os.pipe()
        with os.fdopen(reader, "rb", buffering=0) as ready, self._log.open("ab") as log:
            try:
                self.process = self.spawn("--ready-fd", str(writer), pass_fds=(writer,), stdout=log, stderr=log)
            finally:
                os.close(writer)
            assert ready.read(1), self._log.read_text()

    def spawn(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "torpor.local.apiserver", "--data-dir", str(self.data_dir)]
        return subprocess.Popen([*command, "--port", str(self.port), *self._arguments, *arguments], **options)

    def terminate(self) -> None:
        """Ask it to end, as the supervisor does."""
        assert self.process is not None
        self.process.terminate()

    def wait(self) -> int:
        """Return its exit code."""
        assert self.process is not None
        return self.process.wait(START_S)

    def kill(self) -> None:
        """As with kill -9: nothing is said, nothing is finished."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[tuple[Server, Api]]:
    """Serve, connect, and leave nothing behind."""
    server = Server(folder, *arguments)
    try:
        server.start()
        with Api(server) as api:
            yield server, api
    finally:
        server.kill()


class Api:
    """Requests as clients send them; an answer that was not expected fails the test with what it said."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.token = (server.data_dir / "token").read_text().strip()
        context = ssl.create_default_context(cafile=str(server.data_dir / "pki/ca.crt"))
        self.http = httpx.Client(
            base_url=f"https://127.0.0.1:{server.port}",
            headers={"Authorization": f"Bearer {self.token}", "User-Agent": "tester/1.0"},
            verify=context,
            timeout=30,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def request(
        self, method: str, path: str, body: Any = None, *, code: int | None = None, type_: str = "", **query: Any
    ) -> Any:
        """Return the parsed answer; `code` None: any success."""
        content = body if body is None or isinstance(body, bytes) else orjson.dumps(body)
        headers = {"Content-Type": type_ or "application/json"} if content is not None else {}
        answer = self.http.request(method, path, content=content, headers=headers, params=query)
        expected = answer.is_success if code is None else answer.status_code == code
        assert expected, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def get(self, kind: Kind, name: str = "", namespace: str | None = None, **options: Any) -> Any:
        return self.request("GET", kind.path(namespace, name, options.pop("sub", None)), **options)

    def create(self, kind: Kind, obj: Object, namespace: str | None = None, **options: Any) -> Any:
        return self.request("POST", kind.path(namespace), obj, **options)

    def put(self, kind: Kind, obj: Object, **options: Any) -> Any:
        metadata = obj["metadata"]
        path = kind.path(metadata.get("namespace"), metadata["name"], options.pop("sub", None))
        return self.request("PUT", path, obj, **options)

    def patch(self, kind: Kind, name: str, body: Any, how: str, namespace: str | None = None, **options: Any) -> Any:
        path = kind.path(namespace, name, options.pop("sub", None))
        if how == "apply":
            options = {"fieldManager": "applier"} | options
        return self.request("PATCH", path, body, type_=TYPES[how], **options)

    def delete(self, kind: Kind, name: str, namespace: str | None = None, body: Any = None, **options: Any) -> Any:
        return self.request("DELETE", kind.path(namespace, name), body, **options)

    def names(self, kind: Kind, namespace: str | None = None, **query: Any) -> list[str]:
        return [item["metadata"]["name"] for item in self.get(kind, "", namespace, **query)["items"]]

    @contextlib.contextmanager
    def watch(self, kind: Kind, namespace: str | None = None, **query: Any) -> Iterator[Iterator[Object]]:
        """Give the events of a watch as they come."""
        with self.http.stream("GET", kind.path(namespace), params={"watch": "true"} | query) as answer:
            assert answer.status_code == 200, answer.read()
            yield (orjson.loads(line) for line in answer.iter_lines())
