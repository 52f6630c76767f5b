"""Read Kubernetes objects from YAML or JSON files; what is wrong is said with file, line and column."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from torpor.errors import InvalidInputError, NotFoundError, TorporError
from torpor.spec.kinds import Object

SUFFIXES = (".yaml", ".yml", ".json")


class ManifestError(TorporError):
    """A file is not what a manifest must be. The message begins with the place."""


@dataclass(frozen=True, slots=True)
class Document:
    """One object and where it was read."""

    place: str
    api_version: str
    kind: str
    name: str
    namespace: str | None
    object: Object


def read(source: str) -> list[Document]:
    """Read a file, every manifest of a folder in order of name, or `-` for standard input."""
    if source == "-":
        return list(parse(sys.stdin.read(), "<stdin>"))
    path = Path(source)
    if not path.exists():
        raise NotFoundError(f"there is no file or folder {source!r}")
    files = sorted(each for each in path.iterdir() if each.suffix in SUFFIXES) if path.is_dir() else [path]
    if not files:
        raise NotFoundError(f"the folder {source!r} has no {', '.join(SUFFIXES)} file")
    return [document for each in files for document in parse(_text(each), str(each))]


def parse(text: str, place: str) -> Iterator[Document]:
    """Yield the objects of a stream of documents; a `List` is taken apart."""
    try:
        loader = _Loader(text)
        while loader.check_node():
            node = loader.get_node()
            value = None if node is None else loader.construct_document(node)
            if node is not None and value is not None:  # `---` with nothing behind it is no object
                yield from _documents(value, f"{place}:{node.start_mark.line + 1}")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise ManifestError(f"{place}{where}: {error.problem or error.context}") from error
    except yaml.YAMLError as error:  # a character that YAML does not allow
        raise ManifestError(f"{place}: {error}") from error


def _documents(value: Any, place: str) -> Iterator[Document]:
    if not isinstance(value, dict):
        raise ManifestError(f"{place}: an object with apiVersion, kind and metadata is needed, not {value!r:.60}")
    if value.get("kind") == "List":
        for item in value.get("items") or ():
            yield from _documents(item, place)
        return
    metadata = value.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    yield Document(
        place=place,
        api_version=_word(value, "apiVersion", place),
        kind=_word(value, "kind", place),
        name=_word(metadata, "name", place, "metadata."),
        namespace=metadata.get("namespace"),
        object=value,
    )


def _word(obj: Object, field: str, place: str, prefix: str = "") -> str:
    found = obj.get(field)
    if not isinstance(found, str) or not found:
        raise ManifestError(f"{place}: {InvalidInputError(prefix + field, found, 'a text is needed')}")
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: {error}") from error


class _Loader(yaml.SafeLoader):
    """YAML as Kubernetes reads it: a date is a text, and a key that is there twice is a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key.value!r} is there twice", problem_mark=key.start_mark)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else "")
        return super().construct_mapping(node, deep=deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:timestamp"]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
