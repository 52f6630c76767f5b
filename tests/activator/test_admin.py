"""The admin port tells numbers to those who bear the token, and a sign of life to everybody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from activator import admin
from activator.peers.counts import BODY_BYTES, Counts, Message, encode
from activator.throttle.report import LoadReport
from torpor.errors import ConflictError, SettingError
from torpor.telemetry import metrics

TOKEN = "s3cret"


class One(Collector):
    """One metric."""

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("torpor_test_one", "One.", value=1)


def nobody(_: Message) -> None:
    """There is no other activator."""


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        pytest.param(f"Bearer {TOKEN}", 200, id="right"),
        pytest.param(f"bearer  {TOKEN}", 200, id="the scheme in small letters"),
        pytest.param(None, 401, id="none"),
        pytest.param("Bearer", 401, id="empty"),
        pytest.param(f"Bearer {TOKEN}x", 401, id="longer"),
        pytest.param(f"Bearer {TOKEN[:-1]}", 401, id="shorter"),
        pytest.param(f"Basic {TOKEN}", 401, id="another scheme"),
        pytest.param(TOKEN, 401, id="no scheme"),
        pytest.param(b"Bearer \xff\xfe", 401, id="no text"),
    ],
)
async def test_metrics_are_for_those_who_bear_the_token(authorization: str | bytes | None, status: int) -> None:
    """The others are told how to ask."""
    headers = {} if authorization is None else {"Authorization": authorization}
    async with admin.serving(TOKEN, "127.0.0.1", 0, One(), nobody) as port, httpx.AsyncClient() as http:
        answer = await http.get(f"http://127.0.0.1:{port}/metrics", headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == status
    if status == 200:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        assert "torpor_test_one 1.0" in answer.text
        assert "torpor_autoscaler_tick_seconds" in answer.text
    else:
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.json()["reason"] == "Unauthorized"
        assert TOKEN not in answer.text


async def test_a_sign_of_life_is_for_everybody_and_nothing_else_is_there() -> None:
    """404 and 405 are said plainly; afterwards the port is closed and the metrics are gone."""
    async with admin.serving(TOKEN, "127.0.0.1", 0, One(), nobody) as port, httpx.AsyncClient() as http:
        url = f"http://127.0.0.1:{port}"
        assert (await http.get(f"{url}/healthz")).status_code == 200
        nothing = await http.get(f"{url}/nothing")
        assert (nothing.status_code, nothing.json()["reason"]) == (404, "NotFound")
        assert (await http.post(f"{url}/metrics")).status_code == 405
    async with httpx.AsyncClient() as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(f"{url}/healthz")
    assert "torpor_test_one" not in metrics.exposition()[0].decode()


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff"], ids=["no file", "empty", "blank", "no text"])
def test_a_token_file_without_a_token_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """An empty token would let everybody in."""
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingError, match=r"--token-file: .*token' is not allowed; a file with a token is needed"):
        admin.read_token(path)


async def test_a_port_that_is_taken_is_named() -> None:
    """One line says which."""
    async with admin.serving(TOKEN, "127.0.0.1", 0, One(), nobody) as port:
        with pytest.raises(SettingError, match=rf"--admin-port: {port} .* a port is needed that is free on 127.0.0.1"):
            async with admin.serving(TOKEN, "127.0.0.1", port, One(), nobody):
                pytest.fail("it served")


def test_a_token_is_what_its_file_says(tmp_path: Path) -> None:
    """But for white space around it."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert admin.read_token(tmp_path / "token") == TOKEN


COUNTS = encode(Message("other", "run", (Counts(1, 1.0, (LoadReport(("ns", "app"), 1.5, 2, 1, 0, 0),)),), ()))


@pytest.mark.parametrize(
    ("token", "body", "error", "status", "heard"),
    [
        pytest.param(TOKEN, COUNTS, None, 204, 1, id="taken in"),
        pytest.param("other", COUNTS, None, 401, 0, id="another token"),
        pytest.param(TOKEN, b"{}", None, 400, 0, id="no counts"),
        pytest.param(TOKEN, COUNTS, ConflictError("activator a does not lead"), 409, 0, id="no leader"),
        pytest.param(TOKEN, b" " * (BODY_BYTES + 1), None, 413, 0, id="too long"),
    ],
)
async def test_counts_of_others(token: str, body: bytes, error: Exception | None, status: int, heard: int) -> None:
    """Are taken in by who leads, from those who bear the token."""
    taken: list[Message] = []

    def hear(message: Message) -> None:
        if error is not None:
            raise error
        taken.append(message)

    async with admin.serving(TOKEN, "127.0.0.1", 0, One(), hear) as port, httpx.AsyncClient() as http:
        headers = {"Authorization": f"Bearer {token}"}
        answer = await http.post(f"http://127.0.0.1:{port}/peers/counts", content=body, headers=headers)
    assert (answer.status_code, len(taken)) == (status, heard)
    if heard:
        assert taken[0].counts[0].reports[0].average_concurrency == 1.5
