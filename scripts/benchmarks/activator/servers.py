"""The backend and the proxies: one worker each, logs off, connections to the backend kept."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from cores import Cores
from door import ALL_ON, HOST
from figures import ACTIVATOR, ACTIVATOR_ALL_ON, DIRECT, ENVOY, NGINX, UVICORN
from peers import Peers

from torpor.errors import UnavailableError

ANSWER = '{"model_name":"m","outputs":[{"name":"y","shape":[1,1],"datatype":"FP32","data":[10.0]}]}'
BIG = "/big.bin"
BIG_BYTES = 2**20
READY_S = 30.0

_NGINX = """
daemon off; worker_processes 1; pid {name}.pid; error_log {name}.log;
worker_rlimit_nofile 16384; events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 1000000000; client_max_body_size 0;
  client_body_temp_path {name}-body; proxy_temp_path {name}-proxy; fastcgi_temp_path {name}-fastcgi;
  uwsgi_temp_path {name}-uwsgi; scgi_temp_path {name}-scgi;
  {inner}
}}
"""


@dataclass(frozen=True, slots=True)
class Target:
    """Where the load is sent."""

    name: str
    port: int
    process: psutil.Process
    all_on: bool = False
    """It is sent what its features have to do with."""

    def cpu_s(self) -> float:
        """Return the processor time that it has used, its workers included."""
        times = [each.cpu_times() for each in (self.process, *self.process.children(recursive=True))]
        return sum(each.user + each.system for each in times)


@contextlib.asynccontextmanager
async def running(peers: Peers, cores: Cores, folder: Path) -> AsyncIterator[list[Target]]:
    """Start all of them; the proxies share a core, for only one of them is ever asked at a time."""
    backend, files, ours, ours_all_on, nginx, envoy, uvicorn = _free_ports(7)
    async with contextlib.AsyncExitStack() as stack:

        async def start(name: str, port: int, core: int, command: list[str], *, all_on: bool = False) -> Target:
            pinned = [peers.taskset, "-c", str(core), *command]
            process = await stack.enter_async_context(_process(pinned, folder / f"{name}.out"))
            await _until_open(name, port, process, folder / f"{name}.out")
            return Target(name, port, psutil.Process(process.pid), all_on)

        def with_nginx(name: str, inner: str) -> list[str]:
            config = folder / f"{name}.conf"
            config.write_text(_NGINX.format(name=name, inner=inner))
            return [peers.nginx, "-p", f"{folder}/", "-c", str(config), "-e", str(folder / f"{name}.log")]

        (folder / BIG.lstrip("/")).write_bytes(b"y" * BIG_BYTES)
        backend_of_all = await start(
            DIRECT, backend, cores.backend, with_nginx("backend", _backend(backend, files, folder))
        )
        door = [sys.executable, str(Path(__file__).with_name("door.py"))]
        config = folder / "envoy.json"
        config.write_text(json.dumps(_envoy(envoy, backend)))
        quiet = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
        yield [
            backend_of_all,
            await start(ACTIVATOR, ours, cores.proxy, [*door, str(ours), str(backend)]),
            await start(
                ACTIVATOR_ALL_ON,
                ours_all_on,
                cores.proxy,
                [*door, str(ours_all_on), str(backend), ALL_ON],
                all_on=True,
            ),
            await start(NGINX, nginx, cores.proxy, with_nginx("nginx", _proxy(nginx, backend))),
            await start(ENVOY, envoy, cores.proxy, [peers.envoy, "-c", str(config), *quiet]),
            await start(UVICORN, uvicorn, cores.proxy, _uvicorn(uvicorn, backend)),
        ]


def _backend(port: int, files: int, folder: Path) -> str:
    small = f"location / {{ default_type application/json; return 200 '{ANSWER}'; }}"
    # It takes in all of a body before it answers, as a model does; by itself nginx would answer and hang up.
    read = (
        "client_body_buffer_size 2m; proxy_pass_request_body off; proxy_set_header Content-Length ''; proxy_method GET;"
    )
    kept = "proxy_http_version 1.1; proxy_set_header Connection ''; proxy_buffering off; proxy_pass http://files;"
    big = f"location = {BIG} {{ {read} {kept} }}"
    upstream = f"upstream files {{ server 127.0.0.1:{files}; keepalive 64; }}"
    served = f"server {{ listen 127.0.0.1:{files}; root {folder}; }}"
    return f"{upstream} {served} server {{ listen 127.0.0.1:{port}; {small} {big} }}"


def _proxy(port: int, backend: int) -> str:
    to = 'proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;'
    upstream = f"upstream up {{ server 127.0.0.1:{backend}; keepalive 1024; keepalive_requests 1000000000; }}"
    # Else it would write large bodies into files first, which the others do not.
    big = f"location = {BIG} {{ proxy_buffering off; proxy_request_buffering off; {to} }}"
    return f"{upstream} server {{ listen 127.0.0.1:{port}; location / {{ {to} }} {big} }}"


def _uvicorn(port: int, backend: int) -> list[str]:
    quiet = ["--log-level", "error", "--no-access-log", "--no-server-header", "--no-date-header"]
    loop = ["--loop", "uvloop", "--http", "httptools", "--app-dir", str(Path(__file__).parent)]
    with_port = ["/usr/bin/env", f"BACKEND_PORT={backend}"]
    return [*with_port, sys.executable, "-m", "uvicorn", "asgi:app", "--port", str(port), *loop, *quiet]


def _envoy(port: int, backend: int) -> dict[str, object]:
    def address(port: int) -> dict[str, object]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

    extensions = "type.googleapis.com/envoy.extensions.filters"
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{extensions}.http.router.v3.Router"},
    }
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "backend"}}]
    manager = {
        "@type": f"{extensions}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "route_config": {"virtual_hosts": [{"name": "app", "domains": [HOST, f"{HOST}:*"], "routes": routes}]},
        "http_filters": [router],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address(backend)}}]}]
    cluster = {"name": "backend", "load_assignment": {"cluster_name": "backend", "endpoints": endpoints}}
    listener = {"name": "bench", "address": address(port), "filter_chains": [{"filters": filters}]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


@contextlib.asynccontextmanager
async def _process(command: list[str], output: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    with output.open("wb") as sink:
        process = await asyncio.create_subprocess_exec(*command, stdout=sink, stderr=sink)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _until_open(name: str, port: int, process: asyncio.subprocess.Process, output: Path) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(READY_S):
            while process.returncode is None:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    return
                await asyncio.sleep(0.05)
    raise _silent(name, port, output)


def _silent(name: str, port: int, output: Path) -> UnavailableError:
    said = output.read_text(errors="replace")[-2000:]
    return UnavailableError(f"{name} does not listen on port {port}:\n{said}")


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]
