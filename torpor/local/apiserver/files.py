"""The data directory: ours alone, and nobody else's secrets to read."""

from __future__ import annotations

import base64
import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from torpor.errors import SettingError

LOCK = "apiserver.lock"


@contextmanager
def locked(data_dir: Path, name: str = LOCK) -> Iterator[None]:
    """Hold the directory for one API server, or for who else has a lock of its own `name`.

    Raises SettingError if another one has it, or it cannot be written.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(data_dir / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SettingError(
            "--data-dir", str(data_dir), f"a directory is needed that can be written: {error}"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno not in {errno.EAGAIN, errno.EACCES}:
            raise
        text = "another Torpor runs on this directory: stop it, or use another directory"
        raise SettingError("--data-dir", str(data_dir), text) from error
    try:
        yield
    finally:
        os.close(descriptor)  # which unlocks; the file stays, or two might lock two different ones


def private_folder(path: Path) -> None:
    """Make a folder that only its owner enters, or make it so where it is there already."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner reads, in one step: nobody sees half of it."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def ensure_token(path: Path) -> str:
    """Return the token of this directory; makes one on the first start."""
    if path.exists():
        token = path.read_text().strip()
        if token:
            path.chmod(0o600)
            return token
    token = secrets.token_urlsafe(32)
    write_private(path, token.encode() + b"\n")
    return token


def write_kubeconfig(path: Path, server: str, ca: Path, token: str) -> None:
    """Write what kubectl and every other client needs. JSON is YAML."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "preferences": {},
        "clusters": [
            {
                "name": "torpor",
                "cluster": {
                    "server": server,
                    "certificate-authority-data": base64.b64encode(ca.read_bytes()).decode(),
                },
            }
        ],
        "users": [{"name": "torpor", "user": {"token": token}}],
        "contexts": [{"name": "torpor", "context": {"cluster": "torpor", "user": "torpor", "namespace": "default"}}],
        "current-context": "torpor",
    }
    write_private(path, orjson.dumps(config, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
