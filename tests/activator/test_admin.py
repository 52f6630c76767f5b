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
from torpor.errors import SettingError
from torpor.telemetry import metrics

TOKEN = "s3cret"


class One(Collector):
    """One metric."""

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("torpor_test_one", "One.", value=1)


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    return path


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
async def test_metrics_are_for_those_who_bear_the_token(
    token_file: Path, authorization: str | bytes | None, status: int
) -> None:
    """The others are told how to ask."""
    headers = {} if authorization is None else {"Authorization": authorization}
    async with admin.serving(token_file, "127.0.0.1", 0, One()) as port, httpx.AsyncClient() as http:
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


async def test_a_sign_of_life_is_for_everybody_and_nothing_else_is_there(token_file: Path) -> None:
    """404 and 405 are said plainly; afterwards the port is closed and the metrics are gone."""
    async with admin.serving(token_file, "127.0.0.1", 0, One()) as port, httpx.AsyncClient() as http:
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
async def test_a_token_file_without_a_token_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """An empty token would let everybody in."""
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingError, match=r"--token-file: .*token' is not allowed; a file with a token is needed"):
        async with admin.serving(path, "127.0.0.1", 0, One()):
            pytest.fail("it served")


async def test_a_port_that_is_taken_is_named(token_file: Path) -> None:
    """One line says which."""
    async with admin.serving(token_file, "127.0.0.1", 0, One()) as port:
        with pytest.raises(SettingError, match=rf"--admin-port: {port} .* a port is needed that is free on 127.0.0.1"):
            async with admin.serving(token_file, "127.0.0.1", port, One()):
                pytest.fail("it served")
