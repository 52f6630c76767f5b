"""Who is let in: with the token, by a name of this machine, and not from a web page."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.local.apiserver.objects import box
from tests.local.apiserver.server import Api, serving
from torpor.local.apiserver.store.journal import Journal
from torpor.spec.kinds import CONFIG_MAP


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param(None, id="none"),
        pytest.param("Bearer wrong", id="another token"),
        pytest.param("Bearer", id="an empty token"),
        pytest.param("Basic YWRtaW46YWRtaW4=", id="a password"),
        pytest.param("Bearer \xe4", id="not ASCII"),
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/namespaces", "/version", "/openapi/v3", "/nothing"])
def test_without_the_token(api: Api, authorization: str | None, path: str) -> None:
    """401 whatever is asked for: not even what there is, is told."""
    given = [] if authorization is None else [(b"Authorization", authorization.encode("latin-1"))]
    request = api.http.build_request("GET", path, headers=given)
    if authorization is None:
        del request.headers["Authorization"]
    answer = api.http.send(request)
    assert (answer.status_code, answer.json()["reason"]) == (401, "Unauthorized")
    assert answer.headers["www-authenticate"] == 'Bearer realm="torpor"'


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz"])
def test_probes_need_none(api: Api, path: str) -> None:
    """They say nothing but that somebody is here."""
    request = api.http.build_request("GET", path)
    del request.headers["Authorization"]
    assert api.http.send(request).text == "ok"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.1:6443", "LocalHost:1", "[::1]:6443", "127.9.9.9"])
def test_names_of_this_machine(api: Api, host: str) -> None:
    """However a tunnel or a script calls it."""
    assert api.http.get("/version", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["example.com", "localhost.example.com", "10.0.0.1", "", "127.0.0.1.example.com", "[::2]"]
)
def test_names_of_others(api: Api, host: str) -> None:
    """403: a page whose name was pointed at this machine has it in its Host."""
    answer = api.http.get("/version", headers={"Host": host})
    assert (answer.status_code, answer.json()["reason"]) == (403, "Forbidden")


@pytest.mark.parametrize("origin", ["https://example.com", "http://localhost:3000", "null"])
def test_web_pages(api: Api, namespace: str, origin: str) -> None:
    """403: a browser says where a request comes from, and no page is meant to come here."""
    body = box("a", namespace)
    answer = api.http.post(CONFIG_MAP.path(namespace), json=body, headers={"Origin": origin})
    assert answer.status_code == 403
    assert api.names(CONFIG_MAP, namespace) == []


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        pytest.param("POST", "/version", 405, id="writing what is fixed"),
        pytest.param("PATCH", "/api/v1/namespaces/default/configmaps", 405, id="patching a collection"),
        pytest.param("PUT", "/api/v1/configmaps", 405, id="replacing a collection"),
        pytest.param("POST", "/api/v1/configmaps", 405, id="creating in no namespace"),
        pytest.param("POST", "/api/v1/namespaces/default/configmaps/a", 405, id="creating below an object"),
        pytest.param("GET", "/api/v1/nothing", 404, id="a kind that is not served"),
        pytest.param("GET", "/api/v1/namespaces/default/nothing", 404, id="nor in a namespace"),
        pytest.param("GET", "/api/v1/namespaces/default/configmaps/a/b/c", 404, id="too deep"),
        pytest.param("GET", "/api/v1/configmaps/a", 404, id="an object in no namespace"),
        pytest.param("GET", "/api/v1/namespaces/default/configmaps/%2e%2e", 404, id="a way up"),
        pytest.param("GET", "/apis/apps/v1/", 404, id="a group with a slash"),
    ],
)
def test_paths_that_are_none(api: Api, method: str, path: str, code: int) -> None:
    """A Status that says so."""
    answer = api.http.request(method, path, json={} if method != "GET" else None)
    assert (answer.status_code, answer.json()["kind"]) == (code, "Status")


def test_heads_have_no_body(api: Api) -> None:
    """As HTTP has it."""
    answer = api.http.head("/api/v1/namespaces/default")
    assert (answer.status_code, answer.content) == (200, b"")


def test_plain_http_is_not_spoken(api: Api) -> None:
    """The token never goes over the wire in the clear."""
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{api.server.port}/version", timeout=10)


def test_secrets_of_the_server_are_its_owners_alone(tmp_path: Path) -> None:
    """Every file, Secrets in the database among them: no other user reads them, though the folder was there for all."""
    (tmp_path / "data").mkdir(mode=0o755)
    with serving(tmp_path) as (server, api):
        api.create(CONFIG_MAP, box("a", "default"), "default")
        files = [path for path in server.data_dir.rglob("*") if path.is_file()]
        names = {"token", "kubeconfig", "state.db", "state.db-wal", "state.db-shm", "ca.key"}
        assert names <= {path.name for path in files}
        assert {path.name: oct(path.stat().st_mode & 0o077) for path in files} == {path.name: "0o0" for path in files}


def test_a_database_that_everybody_could_read_is_closed_to_them(tmp_path: Path) -> None:
    """As earlier versions left it, killed perhaps, so that SQLite's other files are there too."""
    files = [tmp_path / name for name in ("state.db", "state.db-wal", "state.db-shm")]
    journal = Journal(files[0])
    try:
        for path in files:
            path.chmod(0o644)
        again = Journal(files[0])
        assert [oct(path.stat().st_mode & 0o777) for path in files] == ["0o600"] * 3
        again.close()
    finally:
        journal.close()


def test_who_am_i(api: Api) -> None:
    """`kubectl auth whoami` and `auth can-i`: the owner, who may do everything."""
    review = {"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1"}
    answer = api.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review, code=201)
    assert answer["status"]["userInfo"]["groups"][0] == "system:masters"
    access = {"spec": {"resourceAttributes": {"verb": "delete", "resource": "pods"}}}
    answer = api.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", access, code=201)
    assert answer["status"]["allowed"] is True
