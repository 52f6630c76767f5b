"""Manifests are read with their places, so that a mistake can be found."""

from __future__ import annotations

from pathlib import Path

import pytest

from torpor.cli.documents import ManifestError, parse, read
from torpor.errors import NotFoundError

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: b}\n"


def test_several_documents_keep_their_lines() -> None:
    """Each object knows the line it begins at; an empty document is none."""
    found = list(parse(f"{POD}---\n---\n{POD}", "f.yaml"))
    assert [each.place for each in found] == ["f.yaml:1", "f.yaml:6"]
    assert (found[0].api_version, found[0].kind, found[0].name, found[0].namespace) == ("v1", "Pod", "a", "b")


def test_a_list_is_taken_apart() -> None:
    """`kind: List` is a wrapping, not an object."""
    text = '{"kind": "List", "apiVersion": "v1", "items": [{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"}}]}'
    assert [each.name for each in parse(text, "-")] == ["x"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("a: 1\nb: [1, }\n", "f.yaml:2:8: ", id="malformed-names-line-and-column"),
        pytest.param("a: 1\na: 2\n", "f.yaml:2:1: the key 'a' is there twice", id="a-key-twice"),
        pytest.param("a: \t- x\n\t b", "f.yaml:", id="tab-as-indentation"),
        pytest.param("- 1\n", "f.yaml:1: an object with apiVersion", id="a-list-is-no-object"),
        pytest.param("just text", "f.yaml:1: an object with apiVersion", id="a-text-is-no-object"),
        pytest.param("kind: Pod\nmetadata: {name: a}\n", "f.yaml:1: apiVersion: None", id="no-apiVersion"),
        pytest.param("apiVersion: v1\nmetadata: {name: a}\n", "f.yaml:1: kind: None", id="no-kind"),
        pytest.param("apiVersion: v1\nkind: Pod\n", "f.yaml:1: metadata.name: None", id="no-metadata"),
        pytest.param("apiVersion: v1\nkind: Pod\nmetadata: []\n", "metadata.name: None", id="metadata-of-a-wrong-type"),
        pytest.param("apiVersion: v1\nkind: Pod\nmetadata: {name: 3}\n", "metadata.name: 3", id="a-number-as-name"),
        pytest.param("apiVersion: 1\nkind: Pod\n", "apiVersion: 1 is not allowed", id="a-number-as-apiVersion"),
        pytest.param("a: \x00", "f.yaml", id="a-character-yaml-forbids"),
        pytest.param("!!python/object:os.system {}", "f.yaml:1:1: could not determine a constructor", id="no-python"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, message: str) -> None:
    """The message begins with file and line, and says what is needed."""
    with pytest.raises(ManifestError) as caught:
        list(parse(text, "f.yaml"))
    assert message in str(caught.value)


def test_a_date_stays_a_text() -> None:
    """Kubernetes knows no dates in YAML: an annotation that looks like one is a text."""
    text = POD + "spec: {when: 2026-11-24}\n"
    assert next(parse(text, "-")).object["spec"]["when"] == "2026-11-24"


def test_a_folder_is_its_manifests_in_order_of_name(tmp_path: Path) -> None:
    """Other files, and folders within, are left alone."""
    for name in ("b.yml", "a.yaml", "c.json", "README.md"):
        (tmp_path / name).write_text(
            POD if name != "c.json" else '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"c"}}'
        )
    (tmp_path / "more").mkdir()
    assert [Path(each.place).name.partition(":")[0] for each in read(str(tmp_path))] == ["a.yaml", "b.yml", "c.json"]


@pytest.mark.parametrize("source", ["nowhere.yaml", "."], ids=["no-such-file", "folder-without-manifests"])
def test_nothing_to_read_is_an_error(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Applying nothing is a mistake, not a success."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFoundError, match=r"there is no|has no"):
        read(source)


def test_a_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    """A picture given by mistake is said to be unreadable, with its name."""
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ManifestError, match=r"x\.yaml"):
        read(str(path))
