"""What an archive says of itself: MAR-INF/MANIFEST.json, and model-config.yaml where there is one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from predictor.runtimes.mar.archive import safe_name
from torpor.errors import InvalidInputError, TooLargeError, UnsupportedError
from torpor.protocol.document import brief

MANIFEST = "MAR-INF/MANIFEST.json"
LIMIT = 1024 * 1024
"""Bytes of either file: they are written by hand or by a program that writes a dozen lines."""
_PYTHONS = ("python", "python3")
_LENGTH = 256
_MODULE = re.compile(r"[\w-]+")
_VERSION = "1.0"
"""What TorchServe calls a model that names no version."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """Its own words in `document`; the rest of it is checked."""

    document: Mapping[str, Any]
    name: str
    version: str
    handler: str
    """`module`, `module.py` or `module:Class`."""
    config_file: str | None
    requirements_file: str | None

    @property
    def module(self) -> str:
        return self.handler.partition(":")[0].removesuffix(".py")

    @property
    def attribute(self) -> str:
        """What the handler's module has; empty where it is to be found."""
        return self.handler.partition(":")[2]


def parse(raw: bytes, where: str = MANIFEST) -> Manifest:
    """Read a manifest; raises InvalidInputError that names the field, UnsupportedError for a runtime that is none."""
    document = _object(where, raw)
    runtime = document.get("runtime", "python")
    if runtime == "LSP":
        raise UnsupportedError(f"{where}: runtime LSP, a handler in C++, is not served; python is")
    if runtime not in _PYTHONS:
        raise InvalidInputError(f"{where}: runtime", brief(runtime), f"use one of {', '.join(_PYTHONS)}")
    model = document.get("model")
    if not isinstance(model, dict):
        raise InvalidInputError(f"{where}: model", brief(model), "an object is needed")
    fields = _Fields(f"{where}: model", model)
    for name in ("serializedFile", "modelFile"):
        fields.file(name)
    version = fields.text("modelVersion") or _VERSION
    if "/" in version or ":" in version:
        raise InvalidInputError(f"{where}: model.modelVersion", version, "use a version without / and :")
    return Manifest(
        document,
        fields.needed("modelName"),
        version,
        fields.handler(),
        fields.file("configFile"),
        fields.file("requirementsFile"),
    )


def read(folder: Path) -> Manifest:
    """Return the manifest of an archive that is unpacked in `folder`, all of whose files are there."""
    manifest = parse(_octets(folder / MANIFEST, MANIFEST))
    for field in ("serializedFile", "modelFile", "configFile"):
        name = manifest.document["model"].get(field)
        if name and not (folder / name).is_file():
            raise InvalidInputError(f"{MANIFEST}: model.{field}", name, "there is no such file in the archive")
    return manifest


def config(folder: Path, manifest: Manifest) -> Mapping[str, Any]:
    """Return what model-config.yaml says; raises InvalidInputError. YAML's tags make no objects here."""
    if manifest.config_file is None:
        return {}
    import yaml

    name = manifest.config_file
    try:
        found = yaml.safe_load(_octets(folder / name, name))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InvalidInputError(name, " ".join(str(error).split()), "plain YAML, without tags, is needed") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InvalidInputError(name, brief(found), "a mapping is needed")
    for field in ("batchSize", "minWorkers", "maxWorkers"):
        value = found.get(field, 1)
        if type(value) is not int or value < 1:
            raise InvalidInputError(f"{name}: {field}", brief(value), "a whole number of at least 1 is needed")
    return found


class _Fields:
    """The texts of an object."""

    def __init__(self, path: str, holder: Mapping[str, Any]) -> None:
        self._path = path
        self._holder = holder

    def text(self, name: str) -> str | None:
        value = self._holder.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str) or len(value) > _LENGTH or not value.isprintable():
            allowed = f"a text of at most {_LENGTH} printable characters is needed"
            raise InvalidInputError(f"{self._path}.{name}", brief(value), allowed)
        return value

    def needed(self, name: str) -> str:
        value = self.text(name)
        if value is None:
            raise InvalidInputError(f"{self._path}.{name}", self._holder.get(name), "it is needed")
        return value

    def file(self, name: str) -> str | None:
        value = self.text(name)
        if value is not None:
            try:
                safe_name(value)
            except ValueError as error:
                raise InvalidInputError(f"{self._path}.{name}", value, str(error)) from error
        return value

    def handler(self) -> str:
        value = self.needed("handler")
        module, mark, attribute = value.partition(":")
        if not _MODULE.fullmatch(module.removesuffix(".py")) or (mark and not attribute.isidentifier()):
            allowed = "name a module of the archive, or one with a class in it: module:Class"
            raise InvalidInputError(f"{self._path}.handler", value, allowed)
        return value


def _object(where: str, raw: bytes) -> Mapping[str, Any]:
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidInputError(where, brief(raw[:120]), f"JSON is needed: {error}") from error
    if not isinstance(document, dict):
        raise InvalidInputError(where, brief(document), "a JSON object is needed")
    return document


def _octets(path: Path, name: str) -> bytes:
    if not path.is_file():
        raise InvalidInputError(name, "its absence", "this is no model archive of TorchServe's: it needs one")
    if path.stat().st_size > LIMIT:
        raise TooLargeError(f"{name} has more than {LIMIT} bytes")
    return path.read_bytes()
