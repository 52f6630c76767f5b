"""Which places URIs name, and what is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from predictor.storage import place as storage
from predictor.storage.place import File, Stop, StoppedError, safe_path
from predictor.storage.schemes import SCHEMES, place
from predictor.storage.settings import StorageSettings
from torpor.errors import ForbiddenError, InvalidInputError, NotFoundError, TooLargeError
from torpor.spec.storage import OFFERED

NONE = StorageSettings()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with two files, one of them deeper."""
    folder = tmp_path / "claim" / "my model"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "deep" / "b.txt").write_text("bb")
    return folder


def test_what_is_offered_is_what_is_read() -> None:
    """A manifest is accepted if, and only if, the predictor has that scheme."""
    assert set(SCHEMES) == set(OFFERED)


@pytest.mark.parametrize(
    "uri",
    [
        pytest.param("{model}", id="plain-path"),
        pytest.param("file://{model}", id="file"),
        pytest.param("FILE://{model}/", id="scheme-in-capitals-and-a-slash-at-the-end"),
        pytest.param("file://localhost{quoted}", id="file-on-localhost-with-an-escaped-space"),
        pytest.param("pvc://claim/my model", id="pvc"),
        pytest.param("pvc://claim/my%20model/", id="pvc-with-an-escaped-space"),
    ],
)
def test_local_folders_are_used_in_place(model: Path, tmp_path: Path, uri: str) -> None:
    """Nothing is copied: the listing says where the files lie already."""
    uri = uri.format(model=model, quoted=str(model).replace(" ", "%20"))
    listing = place(uri, StorageSettings(pvc_root=tmp_path)).look()
    assert listing.folder == model
    assert listing.files == (File("a.txt", 1), File("deep/b.txt", 2))
    assert listing.size == 3


def test_a_uri_may_name_one_file(model: Path) -> None:
    """Then that is all there is, whatever lies beside it."""
    listing = place(f"file://{model}/a.txt", NONE).look()
    assert (listing.folder, listing.files) == (model, (File("a.txt", 1),))


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        pytest.param("gs://bucket/model", r"gs://bucket/model.*use one of file://, pvc://, s3://", id="unknown-scheme"),
        pytest.param("models/mine", r"use one of", id="relative-path"),
        pytest.param("", r"use one of", id="empty"),
        pytest.param("file://host/model", r"names no other host", id="file-on-another-host"),
        pytest.param("file://", r"must be absolute", id="file-without-a-path"),
        pytest.param("pvc://", r"pvc://CLAIM/PATH", id="pvc-without-a-claim"),
        pytest.param("pvc:///model", r"pvc://CLAIM/PATH", id="pvc-with-an-empty-claim"),
        pytest.param("pvc://claim/../../etc", r"'\.\.'", id="pvc-that-climbs-out"),
        pytest.param("pvc://claim/%2e%2e/%2e%2e/etc", r"'\.\.'", id="pvc-that-climbs-out-escaped"),
        pytest.param("s3://", r"s3://BUCKET/", id="s3-without-a-bucket"),
        pytest.param("s3:///key", r"s3://BUCKET/", id="s3-with-an-empty-bucket"),
    ],
)
def test_a_uri_that_cannot_be_understood_is_refused(uri: str, says: str) -> None:
    """The message has the value and what is allowed."""
    with pytest.raises(InvalidInputError, match=says):
        place(uri, NONE)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    """As the user wrote it, and as it was looked for."""
    with pytest.raises(NotFoundError, match=rf"pvc://broken/absent: {tmp_path}/broken/absent does not exist"):
        place("pvc://broken/absent", StorageSettings(pvc_root=tmp_path)).look()


def test_an_empty_folder_is_no_model(tmp_path: Path) -> None:
    """It is told apart from one that does not exist."""
    with pytest.raises(NotFoundError, match=rf"^{tmp_path} holds no file$"):
        place(str(tmp_path), NONE).look()


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_named(model: Path) -> None:
    """With the user who tried."""
    model.parent.chmod(0)
    try:
        with pytest.raises(ForbiddenError, match=f"user {os.getuid()} may not read"):
            place(str(model), NONE).look()
    finally:
        model.parent.chmod(0o700)


def test_a_folder_of_everything_is_refused(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A URI that names a whole disk by mistake is not searched to its end."""
    monkeypatch.setattr("predictor.storage.local.MOST_FILES", 1)
    with pytest.raises(TooLargeError, match="more than 1 files"):
        place(str(model), NONE).look()
    assert storage.MOST_FILES > 1


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "../x", "a/../../x", "a/..", "a\\b", "a\0b"],
    ids=["empty", "absolute", "up", "down-and-up", "up-at-the-end", "backslash", "nul"],
)
def test_paths_that_could_leave_the_folder_are_refused(path: str) -> None:
    """Whatever a bucket calls its keys, no file is written outside of the model's folder."""
    with pytest.raises(InvalidInputError, match="stay below"):
        safe_path(path)


def test_paths_below_the_folder_are_kept() -> None:
    """Dots in names are no dots as names."""
    assert safe_path("1_Pooling/..config..json") == "1_Pooling/..config..json"


def test_stop_wakes_what_waits_and_refuses_what_comes_later() -> None:
    """Once each; who has left is not called."""
    stop = Stop()
    woken: list[str] = []
    with stop.waking(lambda: woken.append("left")):
        pass
    with stop.waking(lambda: woken.append("waits")):
        stop.check()
        stop.set()
        stop.set()
    assert woken == ["waits"]
    with pytest.raises(StoppedError), stop.waking(lambda: woken.append("late")):
        pass
