"""Archives from strangers: unpacked into their folder, or refused with what is wrong, and nothing lies elsewhere."""

from __future__ import annotations

import contextlib
import gzip
import io
import stat
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.runtimes.mar.archive import Limits, check, safe_name, unpack
from tests.predictor.runtimes.mar.packing import tarred, zipped
from torpor.errors import LoadError

SMALL = Limits(files=5, size=100_000, ratio=10, harmless=1000)
FILES = [("handler.py", b"x = 1\n"), ("a/b/weights.pt", bytes(range(256)) * 8), ("MAR-INF/MANIFEST.json", b"{}")]


def unpacked(tmp_path: Path, name: str, octets: bytes, limits: Limits = SMALL) -> Path:
    """Check and unpack; whatever happens, nothing lies beside the folder that it was told to use."""
    archive, folder = tmp_path / name, tmp_path / "in" / "here"
    archive.write_bytes(octets)
    folder.mkdir(parents=True)
    try:
        check(archive, limits)
        unpack(archive, folder, limits)
    finally:
        assert {each.name for each in tmp_path.iterdir()} == {name, "in"}
        assert [each.name for each in folder.parent.iterdir()] == ["here"]
        assert not [each for each in folder.rglob("*") if each.is_symlink()]
        assert sum(each.stat().st_size for each in folder.rglob("*") if each.is_file()) <= limits.most(len(octets))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {each.relative_to(folder).as_posix(): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def info(name: str, kind: bytes = tarfile.REGTYPE, to: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, to
    return found


def tar(*members: tuple[str, bytes]) -> bytes:
    return tarred([(info(name), content) for name, content in members])


def zip_of_mode(mode: int) -> bytes:
    made = zipfile.ZipInfo("odd")
    made.external_attr = mode << 16
    return zipped([(made, b"/etc/passwd")])


def encrypted() -> bytes:
    """With the flag set in both places where it stands."""
    octets = bytearray(zipped([("handler.py", b"x = 1\n")]))
    octets[6] |= 1
    octets[octets.index(b"PK\x01\x02") + 8] |= 1
    return bytes(octets)


def lying() -> bytes:
    """Says that it holds less than it does."""
    octets = bytearray(zipped([("a", bytes(2000))]))
    struct.pack_into("<I", octets, octets.index(b"PK\x01\x02") + 24, 10)
    return bytes(octets)


def long_name() -> bytes:
    """A header that brings a name of 30 MB, and shrinks to nothing."""
    header = info("././@LongLink", tarfile.GNUTYPE_LONGNAME)
    header.size = 30_000_000
    return gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(30_000_000) + bytes(1024))


@pytest.mark.parametrize(
    ("name", "octets"),
    [pytest.param("m.mar", zipped(FILES), id="zip"), pytest.param("m.tar.gz", tar(*FILES), id="tar")],
)
def test_what_is_in_it_comes_out(tmp_path: Path, name: str, octets: bytes) -> None:
    """In its folders, whatever modes the archive asks for."""
    folder = unpacked(tmp_path, name, octets)
    assert contents(folder) == dict(FILES)
    assert not [each for each in folder.rglob("*") if each.is_file() and each.stat().st_mode & 0o111]


def test_folders_of_their_own_are_made(tmp_path: Path) -> None:
    """Archives list them or leave them out, before what is in them or after it."""
    folder = unpacked(tmp_path, "m.mar", zipped([("a/x", b"1"), ("a/", b""), ("./b/", b""), ("b/y", b"2")]))
    assert contents(folder) == {"a/x": b"1", "b/y": b"2"}


@pytest.mark.parametrize(
    ("octets", "says"),
    [
        pytest.param(zipped([("../evil", b"x")]), "leads out", id="up and out"),
        pytest.param(zipped([("a/../../evil", b"x")]), "leads out", id="down, then up and out"),
        pytest.param(zipped([("/etc/evil", b"x")]), "no path below", id="absolute"),
        pytest.param(zipped([("..\\evil", b"x")]), "no path below", id="as Windows writes it"),
        pytest.param(zipped([("C:evil", b"x")]), "no path below", id="another drive"),
        pytest.param(zipped([("a\nb", b"x")]), "control characters", id="a line break"),
        pytest.param(zipped([("a" * 300, b"x")]), "too long", id="a long name"),
        pytest.param(zip_of_mode(stat.S_IFLNK | 0o777), "is a link", id="a link"),
        pytest.param(zip_of_mode(stat.S_IFBLK), "is a device", id="a device"),
        pytest.param(zip_of_mode(stat.S_IFIFO), "is a pipe", id="a pipe"),
        pytest.param(zipped([("a", b"x"), ("./a", b"y")]), "in it twice", id="twice by two spellings"),
        pytest.param(zipped([("a", b"x"), ("a/b", b"y")]), "a file and a folder", id="a file that is a folder"),
        pytest.param(zipped([("a/b", b"x"), ("a", b"y")]), "in it twice", id="a folder that is a file"),
        pytest.param(zipped([(str(each), b"") for each in range(6)]), "6 files; 5 are the most", id="many files"),
        pytest.param(zipped([("a", bytes(50_000))]), "it is a trap", id="a bomb"),
        pytest.param(lying(), "is corrupt", id="a size that is none"),
        pytest.param(encrypted(), "is encrypted", id="encrypted"),
        pytest.param(zipped(FILES)[:-30], "corrupt or truncated", id="truncated"),
        pytest.param(zipped(FILES).replace(b"x = 1", b"x = 2"), "truncated", id="no zip of these octets"),
        pytest.param(b"", "corrupt or truncated", id="empty"),
        pytest.param(b"<html>not found</html>", "corrupt or truncated", id="no archive at all"),
    ],
)
def test_zips_that_are_refused(tmp_path: Path, octets: bytes, says: str) -> None:
    """With the archive's name and what is wrong; with zip slip, TorchServe's pull request 2634, among them."""
    if says == "truncated":  # a stored member whose checksum is wrong
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("handler.py", b"x = 1\n")
        octets = buffer.getvalue().replace(b"x = 1", b"x = 2")
    with pytest.raises(LoadError, match=rf"^m\.mar cannot be unpacked: .*{says}") as caught:
        unpacked(tmp_path, "m.mar", octets)
    assert (caught.value.stage, caught.value.retryable) == ("verify", False)


@pytest.mark.parametrize(
    ("octets", "says"),
    [
        pytest.param(tar(("../evil", b"x")), "leads out", id="up and out"),
        pytest.param(tar(("/evil", b"x")), "no path below", id="absolute"),
        pytest.param(tarred([(info("a", tarfile.SYMTYPE, "/etc"), b"")]), "is a link", id="a symbolic link"),
        pytest.param(tarred([(info("a", tarfile.LNKTYPE, "/etc/passwd"), b"")]), "is a link", id="a hard link"),
        pytest.param(tarred([(info("a", tarfile.CHRTYPE), b"")]), "is a device", id="a device"),
        pytest.param(tarred([(info("a", tarfile.FIFOTYPE), b"")]), "is a device", id="a pipe"),
        pytest.param(tar(("a", b"x"), ("a", b"y")), "in it twice", id="twice"),
        pytest.param(tar(("a", b"x"), ("a/b", b"y")), "a file and a folder", id="a file that is a folder"),
        pytest.param(tar(*((str(each), b"") for each in range(9))), "more than 5 files", id="many files"),
        pytest.param(tar(("a", bytes(50_000))), "it is a trap", id="a bomb"),
        pytest.param(long_name(), "it is a trap", id="a name that is a bomb"),
        pytest.param(tar(*FILES)[:-20], "corrupt or truncated", id="truncated"),
        pytest.param(gzip.compress(b"x" * 5000), "corrupt or truncated", id="no tar"),
        pytest.param(
            gzip.compress(gzip.decompress(tar(*FILES)) + b"more"), "more follows", id="something after its end"
        ),
        pytest.param(b"", "corrupt", id="empty"),
        pytest.param(zipped(FILES), "corrupt", id="a zip"),
    ],
)
def test_tars_that_are_refused(tmp_path: Path, octets: bytes, says: str) -> None:
    """The same, of the other kind of archive."""
    with pytest.raises(LoadError, match=rf"^m\.tar\.gz cannot be unpacked: .*{says}") as caught:
        unpacked(tmp_path, "m.tar.gz", octets)
    assert caught.value.stage == "verify"


def test_a_disk_that_is_full_is_told_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive is not to blame."""
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10}))
    with pytest.raises(LoadError, match="too little space") as caught:
        unpacked(tmp_path, "m.mar", zipped(FILES), Limits())
    assert caught.value.stage == "open"


def fuzzed(name: str, octets: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(LoadError):
        unpacked(Path(folder), name, octets)


damage = st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=8)


@pytest.mark.parametrize("make", [pytest.param(zipped, id="zip"), pytest.param(lambda files: tar(*files), id="tar")])
@given(damage=damage, cut=st.none() | st.integers(0, 5000))
def test_damaged_archives_are_refused_or_unpacked(
    make: Callable[[list[tuple[str, bytes]]], bytes], damage: list[tuple[int, int]], cut: int | None
) -> None:
    """Nothing but LoadError, whichever octets are changed; of a tar, those within its gzip too."""
    name = "m.mar" if make is zipped else "m.tar.gz"
    for inner in (False, True) if name == "m.tar.gz" else (False,):
        octets = bytearray(gzip.decompress(make(FILES)) if inner else make(FILES))
        for at, value in damage:
            octets[at % len(octets)] = value
        octets = octets[:cut]
        fuzzed(name, gzip.compress(bytes(octets)) if inner else bytes(octets))


@given(sizes=st.lists(st.integers(0, 30_000), max_size=6), claimed=st.none() | st.integers(0, 2**32 - 1))
def test_whatever_an_archive_becomes_is_bounded(sizes: list[int], claimed: int | None) -> None:
    """Zeros that shrink to nothing, in as many files, whose first says that it has another size (see `unpacked`)."""
    members = [(str(index), bytes(size)) for index, size in enumerate(sizes)]
    zips, tars = bytearray(zipped(members)), bytearray(gzip.decompress(tar(*members)))
    if claimed is not None and members:
        struct.pack_into("<I", zips, zips.index(b"PK\x01\x02") + 24, claimed)
        changed = info("0")
        changed.size = claimed
        tars[:512] = changed.tobuf()[:512]
    fuzzed("m.mar", bytes(zips))
    fuzzed("m.tar.gz", gzip.compress(bytes(tars)))


names = st.text(alphabet=st.sampled_from("ab/.\\:\x00\n\u00e9 ~"), min_size=1, max_size=12)


@given(members=st.lists(st.tuples(names, st.binary(max_size=20), st.sampled_from([0, 0o100644, 0o120777, 0o40755]))))
def test_archives_of_any_names_stay_where_they_are_put(members: list[tuple[str, bytes, int]]) -> None:
    """Whatever their paths and kinds are."""
    zips, tars = [], []
    for name, content, mode in members:
        made = zipfile.ZipInfo("x")
        made.filename, made.external_attr = name, mode << 16
        zips.append((made, content))
        tars.append((info(name, tarfile.SYMTYPE if mode == 0o120777 else tarfile.REGTYPE, ".."), content))
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of zipfile's: two files of one name
        fuzzed("m.mar", zipped([*zips]))
    fuzzed("m.tar.gz", tarred(tars))


@given(names)
def test_a_safe_name_stays_below(name: str) -> None:
    """Joined to any folder, it is below it or the folder itself."""
    try:
        path = safe_name(name)
    except ValueError:
        return
    folder = Path("/some/where")
    assert (folder / path).resolve().is_relative_to(folder)
