"""Ends and beginnings: nothing that was answered is lost, and a server that cannot begin says why."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.apiserver.objects import box, make, owner_reference
from tests.local.apiserver.server import Api, Server, serving
from tests.support.laptop import wait_for
from torpor.errors import SettingError
from torpor.local.apiserver.app import serve
from torpor.local.apiserver.settings import parse
from torpor.spec.kinds import CONFIG_MAP, NAMESPACE, SECRET

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Api]]:
    with serving(tmp_path_factory.mktemp("mortal")) as pair:
        yield pair


@pytest.fixture
def own(mortal: tuple[Server, Api]) -> tuple[Server, Api]:
    """A server that the test may end."""
    server, _ = mortal
    if server.process is None or server.process.poll() is not None:
        server.start()
    return mortal


def test_killed(own: tuple[Server, Api]) -> None:
    """As with kill -9: every object, version and change is there afterwards, and a watch goes on where it was.

    Token and certificates too, or no client would find its way back.
    """
    server, api = own
    secrets = [server.data_dir / "token", server.data_dir / "pki/ca.crt"]
    kept = [path.read_bytes() for path in secrets]
    start = api.get(CONFIG_MAP, "", "default")["metadata"]["resourceVersion"]
    api.create(CONFIG_MAP, box("stays", "default"), "default")
    api.create(CONFIG_MAP, box("goes", "default"), "default")
    api.patch(CONFIG_MAP, "stays", {"data": {"a": "2"}, "metadata": {"labels": {"x": "y"}}}, "merge", "default")
    api.delete(CONFIG_MAP, "goes", "default")
    before = api.get(CONFIG_MAP, "", "default")
    with api.watch(CONFIG_MAP, "default", resourceVersion=start, labelSelector="!x") as events:
        told = list(itertools.islice(events, 4))

    server.kill()
    server.start()
    after = api.get(CONFIG_MAP, "", "default")
    assert after["items"] == before["items"]
    assert int(after["metadata"]["resourceVersion"]) >= int(before["metadata"]["resourceVersion"])
    with api.watch(CONFIG_MAP, "default", resourceVersion=start, labelSelector="!x") as events:
        again = list(itertools.islice(events, 4))
    assert again == told
    assert [(event["type"], event["object"]["metadata"]["name"]) for event in told] == [
        ("ADDED", "stays"),
        ("ADDED", "goes"),
        ("DELETED", "stays"),  # it got the label, and so left the view
        ("DELETED", "goes"),
    ]
    assert [path.read_bytes() for path in secrets] == kept
    newer = api.create(CONFIG_MAP, box("new", "default"), "default")
    assert int(newer["metadata"]["resourceVersion"]) > int(before["metadata"]["resourceVersion"])


def test_killed_while_it_collects(own: tuple[Server, Api]) -> None:
    """What was not collected before is collected afterwards; a namespace goes on being emptied."""
    server, api = own
    api.create(NAMESPACE, {"metadata": {"name": "attic"}})
    first = api.create(CONFIG_MAP, box("a", "default"), "default")
    for index in range(50):
        child = make(SECRET, f"c{index}", "default", ownerReferences=[owner_reference(first)])
        api.create(SECRET, child, "default")
        api.create(SECRET, make(SECRET, f"c{index}", "attic"), "attic")
    api.delete(CONFIG_MAP, "a", "default")
    api.delete(NAMESPACE, "attic")
    server.kill()
    server.start()
    wait_for(lambda: api.names(SECRET, "default") == [], 20, "all children are gone")
    wait_for(lambda: "attic" not in api.names(NAMESPACE), 20, "the namespace is gone")


def test_told_to_stop(own: tuple[Server, Api]) -> None:
    """Streams end, and it leaves with 0, soon."""
    server, api = own
    with api.watch(CONFIG_MAP, "default", resourceVersion="1", allowWatchBookmarks="true") as events:
        begun = time.monotonic()
        server.terminate()
        assert [event["type"] for event in events][-1:] == ["BOOKMARK"]
    # The client keeps connections for later requests, too: they do not hold the server up.
    assert (server.wait(), time.monotonic() - begun < 5) == (0, True)


def test_the_kubeconfig_is_all_that_a_client_needs(api: Api) -> None:
    """Where, whom to trust, and who one is. It is JSON, which is YAML."""
    config = json.loads((api.server.data_dir / "kubeconfig").read_text())
    assert config["clusters"][0]["cluster"]["server"] == f"https://127.0.0.1:{api.server.port}"
    assert config["users"][0]["user"]["token"] == api.token
    assert config["current-context"] == config["contexts"][0]["name"]


# --- servers that cannot begin ---------------------------------------------------------------------------------


def test_a_second_one_on_the_same_directory(api: Api) -> None:
    """One line, exit code 1; the first goes on."""
    second = Server(api.server.data_dir.parent).spawn(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    _, said = second.communicate(timeout=30)
    [line] = said.splitlines()
    assert (second.returncode, line[:29]) == (1, "torpor apiserver: --data-dir:")
    assert "another Torpor runs on this directory" in line
    assert api.get(NAMESPACE, "default")["kind"] == "Namespace"


def refused(folder: Path, *arguments: str, port: int = 0) -> str:
    """Begin to serve; return what is said about why it cannot be."""
    with pytest.raises(SettingError) as caught:
        asyncio.run(serve(parse(["--data-dir", str(folder / "data"), "--port", str(port), *arguments])))
    return str(caught.value)


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """Named, with the address."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(tmp_path, port=port)
    assert said.startswith(f"--port: {port} is not allowed; a port is needed that is free on 127.0.0.1: ")


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """A file is in its place."""
    (tmp_path / "data").write_text("")
    assert refused(tmp_path).startswith("--data-dir: ")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    """Left as it is, for its owner to look at."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/state.db").write_bytes(b"not a database" * 100)
    assert "a database of ours is needed" in refused(tmp_path)
    assert (tmp_path / "data/state.db").read_bytes() == b"not a database" * 100


def test_a_database_of_the_future(tmp_path: Path) -> None:
    """A newer Torpor wrote it: guessing at it could lose what is in it."""
    (tmp_path / "data").mkdir()
    with contextlib.closing(sqlite3.connect(tmp_path / "data/state.db")) as db:
        db.execute("PRAGMA user_version = 99")
    assert "it was written by a newer Torpor" in refused(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["--port", "65536"], "--port: '65536'", id="a port that is none"),
        pytest.param(["--host", "256.0.0.1"], "--host: '256.0.0.1'", id="an address that is none"),
        pytest.param(["--history", "0"], "--history: '0'", id="no history"),
        pytest.param(["--ready-fd", "x"], "--ready-fd: 'x'", id="a descriptor that is none"),
    ],
)
def test_settings_that_are_none(tmp_path: Path, arguments: list[str], says: str) -> None:
    """Setting, value, and what is allowed."""
    assert refused(tmp_path, *arguments).startswith(says)
