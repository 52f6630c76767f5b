"""CloudEvents to `:predict`, by the official SDK on the client's side too."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from cloudevents.conversion import to_binary, to_structured
from cloudevents.http import CloudEvent, from_http

from predictor.settings import Events
from tests.predictor.endpoints.pod import Pod, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

PREDICT = "/v1/models/m:predict"
ATTRIBUTES = {"type": "test.asked", "source": "/tests", "id": "1", "subject": "tä %", "tenant": "a"}
MODES = [pytest.param(to_binary, id="binary"), pytest.param(to_structured, id="structured")]


async def asked(pod: Pod, mode: Callable[[CloudEvent], Any], data: Any) -> tuple[CloudEvent, str]:
    headers, body = mode(CloudEvent(ATTRIBUTES, data))
    headers = {name: value.encode().decode("latin-1") for name, value in headers.items()}
    answer = await pod.http.post(PREDICT, content=body, headers={n: v.encode("latin-1") for n, v in headers.items()})
    assert answer.status_code == 200, answer.text
    return from_http(dict(answer.headers), answer.content), answer.headers["content-type"]


@pytest.mark.parametrize("mode", MODES)
async def test_an_event_is_answered_by_one(pod: Pod, mode: Callable[[CloudEvent], Any]) -> None:
    """In the same mode, with KServe's attributes, an id and a time of its own."""
    event, media_type = await asked(pod, mode, {"instances": [1, 2]})
    assert event.data == {"predictions": [2, 4]}
    assert (event["type"], event["source"]) == ("io.kserve.inference.response", "io.kserve.inference.m")
    assert event["id"] != "1"
    assert event["time"]
    assert "tenant" not in event
    assert media_type == ("application/cloudevents+json" if mode is to_structured else "application/json")


@pytest.mark.parametrize("mode", MODES)
async def test_attributes_may_come_back(mode: Callable[[CloudEvent], Any]) -> None:
    """CE_MERGE: extensions and subject are the request's; type and source are as they are set."""
    async with running(events=Events("test.answered", "/models", merged=True)) as pod:
        event, _ = await asked(pod, mode, {"instances": [1]})
    assert (event["type"], event["source"], event["tenant"]) == ("test.answered", "/models", "a")
    assert event["subject"] == ("tä %" if mode is to_structured else "t%C3%A4 %25")
    assert event["id"] != "1"


@pytest.mark.parametrize(
    ("headers", "body", "says"),
    [
        pytest.param({"ce-specversion": "1.0", "ce-type": "t", "ce-source": "s"}, b"{}", "id", id="no id"),
        pytest.param(
            {"ce-specversion": "7", "ce-type": "t", "ce-source": "s", "ce-id": "1"},
            b"{}",
            "specversion",
            id="a version",
        ),
        pytest.param(
            {
                "ce-specversion": "1.0",
                "ce-type": "t",
                "ce-source": "s",
                "ce-id": "1",
                "content-type": "application/json",
            },
            b"{",
            "data: b'{' is not allowed; use a JSON object",
            id="data that is no JSON",
        ),
        pytest.param(
            {
                "ce-specversion": "1.0",
                "ce-type": "t",
                "ce-source": "s",
                "ce-id": "1",
                "content-type": "application/json",
            },
            b"[1]",
            "data: [1] is not allowed; use a JSON object",
            id="data that is a list",
        ),
        pytest.param(
            {
                "ce-specversion": "1.0",
                "ce-type": "t",
                "ce-source": "s",
                "ce-id": "1",
                "content-type": "application/json",
            },
            b"{}",
            "instances: None",
            id="no instances",
        ),
        pytest.param({"content-type": "application/cloudevents+json"}, b"{", "body: ", id="structured, no JSON"),
        pytest.param({"content-type": "application/cloudevents+json"}, b"[]", "body: ", id="structured, a list"),
        pytest.param({"content-type": "application/cloudevents+json"}, b"{}", "specversion", id="structured, nothing"),
        pytest.param(
            {"content-type": "application/cloudevents+json"},
            json.dumps({"specversion": "1.0", "id": "1", "type": "t", "source": "s", "data_base64": "?"}).encode(),
            "data: ",
            id="structured, broken base64",
        ),
    ],
)
async def test_an_event_that_is_none_is_told(pod: Pod, headers: dict[str, str], body: bytes, says: str) -> None:
    """A 400 that says what lacks."""
    answer = await pod.http.post(PREDICT, content=body, headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (400, "InvalidInput")
    assert says in answer.json()["error"]
    assert len(answer.json()["error"]) < 1000
