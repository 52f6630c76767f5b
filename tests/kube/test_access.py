"""Credentials: what is read here, what the library reads, and that both lead to the same requests."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from tests.kube.server import kubeconfig, served
from torpor.kube import Cluster
from torpor.kube.access import LibraryAccess, TokenAccess, access, token_access
from torpor.spec.kinds import POD

CA = "-----BEGIN CERTIFICATE-----\n"
CLUSTER = {"server": "https://127.0.0.1:6443/"}
TOKEN = {"token": "secret"}


def config(cluster: dict[str, Any], user: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
    } | more


def encoded(text: str) -> dict[str, Any]:
    return CLUSTER | {"certificate-authority-data": base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize(
    ("given", "ca"),
    [
        pytest.param(config(CLUSTER, TOKEN), None, id="a-server-and-a-token"),
        pytest.param(config(encoded(CA), TOKEN), CA, id="with-its-ca"),
        pytest.param(
            config(CLUSTER, TOKEN, users=[{"name": "v", "user": {}}, {"name": "u", "user": TOKEN}]), None, id="others"
        ),
    ],
)
def test_a_server_its_ca_and_a_token_are_read_here(given: dict[str, Any], ca: str | None) -> None:
    """Nothing more is needed for a laptop."""
    assert token_access(given) == TokenAccess("https://127.0.0.1:6443", ca, "secret")


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(config(CLUSTER, {"exec": {"command": "aws"}}), id="a-plugin"),
        pytest.param(config(CLUSTER, TOKEN | {"exec": {"command": "aws"}}), id="a-plugin-beside-a-token"),
        pytest.param(config(CLUSTER, {"tokenFile": "/t"}), id="a-token-that-changes"),
        pytest.param(config(CLUSTER, {"client-certificate-data": "eA=="}), id="a-certificate-of-ours"),
        pytest.param(config(CLUSTER | {"insecure-skip-tls-verify": True}, TOKEN), id="no-verification"),
        pytest.param(config(CLUSTER | {"certificate-authority": "ca.crt"}, TOKEN), id="a-file-with-the-ca"),
        pytest.param(config(CLUSTER | {"tls-server-name": "api"}, TOKEN), id="another-name"),
        pytest.param(config(encoded(CA) | {"certificate-authority-data": "*"}, TOKEN), id="a-ca-that-is-torn"),
        pytest.param(config(CLUSTER, {}), id="no-token"),
        pytest.param(config({}, TOKEN), id="no-server"),
        pytest.param(config(CLUSTER, TOKEN, clusters=[]), id="no-such-cluster"),
        pytest.param(config(CLUSTER, TOKEN, contexts=None), id="no-contexts"),
        pytest.param({}, id="nothing"),
    ],
)
def test_everything_else_is_left_to_the_library(given: dict[str, Any]) -> None:
    """It can do more, and says what is wrong with it."""
    assert token_access(given) is None


@pytest.mark.parametrize("library", [False, True], ids=["read-here", "by-the-library"])
async def test_requests_carry_the_token_and_the_query(library: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """Whoever read the kubeconfig."""
    seen: list[web.Request] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(request)
        return web.json_response({"items": [], "metadata": {"resourceVersion": "7"}})

    async with served(handle, tmp_path) as cluster:
        if library:
            changed = yaml.safe_load((tmp_path / "kubeconfig").read_text())
            (tmp_path / "token").write_text("secret")
            changed["users"][0]["user"] = {"tokenFile": str(tmp_path / "token")}
            (tmp_path / "kubeconfig").write_text(yaml.safe_dump(changed))
        made = await access(tmp_path / "kubeconfig")
        assert type(made) is (LibraryAccess if library else TokenAccess)
        async with Cluster(made) as again:
            assert await again.list(POD, "default", labels="a=b,c") == ([], "7")
            assert await again.list(POD, "default", labels="a=b,c") == ([], "7")
        assert await cluster.list(POD, "default", labels="a=b,c") == ([], "7")
    assert {request.headers["Authorization"] for request in seen} == {"Bearer secret"}
    assert {(request.path, request.query["labelSelector"]) for request in seen} == {
        ("/api/v1/namespaces/default/pods", "a=b,c")
    }


def test_the_library_is_not_imported_for_a_laptop(tmp_path: Path) -> None:
    """It is the most expensive import of all."""
    path = kubeconfig(tmp_path, "http://127.0.0.1:1")
    code = (
        "import asyncio, pathlib, sys\nfrom torpor.kube import Cluster\n"
        f"asyncio.run(Cluster.connect(pathlib.Path({str(path)!r})))\nsys.exit('kubernetes' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
