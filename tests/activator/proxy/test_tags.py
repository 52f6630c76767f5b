"""A header names a tag, as Knative has it behind a flag."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.activator.proxy.doorway import Doorway, doorway
from tests.activator.proxy.pods import OK, Pod, answering, pod
from tests.activator.proxy.wire import get, wire

APP, TAGGED = "app.default.example.test", "next-app.default.example.test"


@contextlib.asynccontextmanager
async def tagged() -> AsyncIterator[tuple[Doorway, dict[str, Pod]]]:
    """A service with all its traffic on one revision, and a tag `next` on another."""
    async with pod(answering(OK)) as one, pod(answering(OK)) as two, doorway() as door:
        door.deploy("app", one.port)
        door.deploy("app-2", two.port)
        door.route("app", {"app": 100}, {"next": "app-2"})
        yield door, {"app": one, "app-2": two}


@pytest.mark.parametrize(
    ("host", "path", "lines", "revision", "told"),
    [
        pytest.param(APP, "/", [], "app", {}, id="no header"),
        pytest.param(
            APP, "/", ["Knative-Serving-Tag: next"], "app-2", {b"knative-serving-tag": b"next"}, id="a tag"
        ),
        pytest.param(
            "127.0.0.1", "/serving/default/app/", ["Knative-Serving-Tag: next"], "app-2",
            {b"knative-serving-tag": b"next"}, id="a tag, by path",
        ),
        pytest.param(
            APP, "/", ["Knative-Serving-Tag: other"], "app",
            {b"knative-serving-tag": b"other", b"knative-serving-default-route": b"true"}, id="no such tag",
        ),
        pytest.param(
            APP, "/", ["Knative-Serving-Tag: next", "Knative-Serving-Tag: next"], "app",
            {b"knative-serving-tag": b"next, next", b"knative-serving-default-route": b"true"}, id="two tags are none",
        ),
        pytest.param(
            TAGGED, "/", ["Knative-Serving-Tag: other"], "app-2", {b"knative-serving-tag": b"next"},
            id="the tag's own host has said it",
        ),
        pytest.param(
            APP, "/", ["Knative-Serving-Default-Route: true", "Knative-Serving-Revision: app-2"], "app", {},
            id="what only we say",
        ),
    ],
)  # fmt: skip
async def test_where_a_tag_leads(
    host: str, path: str, lines: list[str], revision: str, told: dict[bytes, bytes]
) -> None:
    """To its revision; and where there is none, to where requests without a tag go, with a word about it."""
    async with tagged() as (door, pods), wire(door.port) as client:
        assert (await client.ask(get(path, *lines, host=host))).status == 200
        seen = {name: value for name, value in pods[revision].request.headers if name.startswith(b"knative-")}
        assert seen == told
        assert (await client.ask(get())).status == 200
        assert not [name for name, _ in pods["app"].seen[-1].headers if name.startswith(b"knative-")]
