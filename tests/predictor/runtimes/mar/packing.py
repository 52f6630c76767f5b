"""Archives for tests: sound ones, and such as no archiver makes."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from predictor.runtimes.mar.manifest import MANIFEST
from predictor.runtimes.mar.model import MarModel
from predictor.runtimes.mar.runtime import Mar
from predictor.runtimes.runtime import Files

Content = str | bytes


def manifest(handler: str = "handler.py", **model: Any) -> str:
    return json.dumps({"runtime": "python", "model": {"modelName": "m", "handler": handler, **model}})


def packed(path: Path, files: Mapping[str, Content], said: str | None = None) -> Path:
    """Write a .mar, or a .tar.gz by that name, of these files and a manifest."""
    whole = {**files, MANIFEST: said if said is not None else manifest(modelVersion="2.0")}
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith(".tar.gz"):
        path.write_bytes(tarred([(_member(f"m/{name}"), _octets(content)) for name, content in whole.items()]))
    else:
        path.write_bytes(zipped([(name, _octets(content)) for name, content in whole.items()]))
    return path


def zipped(members: list[tuple[str | zipfile.ZipInfo, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for info, content in members:
            if info.isreg():
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def opened(path: Path, scratch: Path | None = None) -> MarModel:
    """Open an archive, or a folder, as the pipeline does."""
    runtime = Mar()
    folder = path if path.is_dir() else path.parent
    names = [each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file()]
    files = Files(folder, runtime.choose(names if path.is_dir() else [path.name], allow_pickle=False), scratch=scratch)
    runtime.verify(files)
    model = runtime.open(files)
    assert isinstance(model, MarModel)
    return model


def _member(name: str) -> tarfile.TarInfo:
    return tarfile.TarInfo(name)


def _octets(content: Content) -> bytes:
    return content.encode() if isinstance(content, str) else content
