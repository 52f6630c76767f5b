"""Ask a container how it is: by HTTP, by a connection, or by a command."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from torpor.local.kubelet.podstatus import ADDRESS
from torpor.spec.probe import Action, Exec, Grpc, HttpGet, TcpSocket

BODY_BYTES = 10 * 1024
"""Read of an answer at most, as in Kubernetes."""
SHOWN = 200

RunCommand = Callable[[tuple[str, ...], float], Awaitable[tuple[int, str]]]
"""Run a command as the container would, within a time; returns its exit status and what it wrote."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a container said to a probe."""

    success: bool
    text: str = ""
    """Why not, in Kubernetes' words."""


async def ask(action: Action, port_of: Callable[[int | str], int], run: RunCommand, timeout_s: float) -> Answer:
    """Ask once. Never raises: whatever goes wrong is the answer."""
    try:
        match action:
            case Exec(command):
                return await _ask_command(command, run, timeout_s)
            case HttpGet():
                return await _ask_http(action, port_of(action.port), timeout_s)
            case TcpSocket(host, port):
                return await _ask_tcp(host or ADDRESS, port_of(port), timeout_s)
            case Grpc(port):  # its health service needs a gRPC client, which the core does not bring
                return await _ask_tcp(ADDRESS, port_of(port), timeout_s)
    except (OSError, ssl.SSLError, ValueError, EOFError, asyncio.LimitOverrunError) as error:
        return Answer(success=False, text=str(error) or type(error).__name__)


async def _ask_tcp(host: str, port: int, timeout_s: float) -> Answer:
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return Answer(success=False, text=f"dial tcp {host}:{port}: i/o timeout")
    except OSError as error:
        return Answer(success=False, text=f"dial tcp {host}:{port}: {_refusal(error)}")
    writer.close()
    return Answer(success=True)


async def _ask_http(action: HttpGet, port: int, timeout_s: float) -> Answer:
    host = action.host or ADDRESS
    url = f"{'https' if action.https else 'http'}://{host}:{port}{action.path}"
    try:
        async with asyncio.timeout(timeout_s):
            status, body = await _get(action, host, port)
    except TimeoutError:
        late = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        return Answer(success=False, text=f'Get "{url}": {late}')
    except ConnectionRefusedError as error:
        return Answer(success=False, text=f'Get "{url}": dial tcp {host}:{port}: {_refusal(error)}')
    except (OSError, EOFError, ValueError) as error:
        return Answer(success=False, text=f'Get "{url}": {error or "EOF"}')
    if 200 <= status < 400:
        return Answer(success=True)
    said = f": {body[:SHOWN]}" if body else ""
    return Answer(success=False, text=f"HTTP probe failed with statuscode: {status}{said}")


async def _get(action: HttpGet, host: str, port: int) -> tuple[int, str]:
    """Send one request; an HTTP client of thirty lines, because this one is asked fifty times a second."""
    context = None
    if action.https:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # as in Kubernetes: it asks for life only
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        headers = {"Host": f"{host}:{port}", "User-Agent": "kube-probe/1.32", "Accept": "*/*", "Connection": "close"}
        headers |= dict(action.headers)
        lines = [f"GET {action.path} HTTP/1.1", *(f"{key}: {value}" for key, value in headers.items())]
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("a path or header with a line break in it")
        writer.write("\r\n".join([*lines, "", ""]).encode())
        status = _status(await reader.readline())
        length = BODY_BYTES
        while line := (await reader.readline()).strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length" and value.strip().isdigit():
                length = min(length, int(value))
        # Read to the end: a server whose client leaves in the middle writes a traceback into its log.
        return status, (await _read(reader, length)).decode(errors="replace").strip()
    finally:
        writer.close()


def _status(line: bytes) -> int:
    parts = line.split(None, 2)
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/") or not parts[1].isdigit():
        raise ValueError(f"malformed HTTP response {line[:100].decode(errors='replace')!r}" if line else "EOF")
    return int(parts[1])


async def _read(reader: asyncio.StreamReader, length: int) -> bytes:
    body = b""
    while len(body) < length and (part := await reader.read(length - len(body))):
        body += part
    return body


async def _ask_command(command: tuple[str, ...], run: RunCommand, timeout_s: float) -> Answer:
    status, output = await run(command, timeout_s)
    return Answer(success=status == 0, text=output.strip()[-BODY_BYTES:] or f"command ended with status {status}")


def _refusal(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connect: connection refused"
    return f"connect: {error.strerror or error}"
