"""The commands against an API that says what a test laid down: what they ask, and what they print."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from tests.cli.api import Api, events, many, refusal, serving, watched
from torpor.cli.main import run

KSVC = "/apis/serving.knative.dev/v1/namespaces/default/services"
ISVC = "/apis/serving.kserve.io/v1beta1/namespaces/default/inferenceservices"
PODS = "/api/v1/namespaces/default/pods"
MANIFEST = "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: hello}\nspec: {a: 1}\n"


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """An empty API that the environment points at."""
    with serving(tmp_path) as (served, path):
        monkeypatch.setenv("KUBECONFIG", str(path))
        monkeypatch.setenv("COLUMNS", "100")
        yield served


def ksvc(**changes: Any) -> dict[str, Any]:
    metadata = {"name": "hello", "namespace": "default", "resourceVersion": "1", "generation": 1}
    obj = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": metadata, "spec": {"a": 1}}
    return obj | changes


def ready(status: str, **more: str) -> dict[str, Any]:
    return {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": status, **more}]}


# --- apply, delete -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "word"),
    [
        pytest.param(None, ksvc(), "created", id="was-not-there"),
        pytest.param(ksvc(), ksvc(), "unchanged", id="is-so-already"),
        pytest.param(ksvc(status={"a": 1}), ksvc(status={"a": 2}), "unchanged", id="only-the-status-moved"),
        pytest.param(ksvc(), ksvc(spec={"a": 2}), "configured", id="asks-for-something-else"),
    ],
)
def test_apply_says_what_it_did(
    api: Api,
    before: dict[str, Any] | None,
    after: dict[str, Any],
    word: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By server-side apply with strict validation, under the name `torpor`."""
    api.answers = {("PATCH", f"{KSVC}/hello"): after} | ({("GET", f"{KSVC}/hello"): before} if before else {})
    (tmp_path / "f.yaml").write_text(MANIFEST)
    assert run(["apply", "-f", str(tmp_path / "f.yaml")]) == 0
    assert capsys.readouterr().out == f"service.serving.knative.dev/hello {word}\n"
    method, _, query, body = api.asked[-1]
    assert (method, query["fieldManager"], query["fieldValidation"]) == ("PATCH", "torpor", "Strict")
    assert orjson.loads(body)["spec"] == {"a": 1}


def test_apply_goes_on_after_a_refusal_and_fails_in_the_end(
    api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message of the API, with the place in the file; the next object is applied all the same."""
    api.answers = {
        ("PATCH", f"{KSVC}/hello"): lambda _: refusal(422, 'unknown field "spec.a"'),
        ("PATCH", f"{KSVC}/other"): ksvc(),
    }
    (tmp_path / "f.yaml").write_text(MANIFEST + "---\n" + MANIFEST.replace("hello", "other"))
    assert run(["apply", "-f", str(tmp_path / "f.yaml")]) == 1
    shown = capsys.readouterr()
    assert shown.err == f'error: {tmp_path / "f.yaml"}:1: unknown field "spec.a"\n'
    assert shown.out == "service.serving.knative.dev/other created\n"


def test_apply_wait_returns_when_it_is_ready(api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What holds it up is told meanwhile."""
    slow = ksvc(status=ready("Unknown", reason="Deploying", message="starts"))
    done = ksvc(status=ready("True"), metadata=ksvc()["metadata"] | {"resourceVersion": "6"})
    api.answers = {
        ("PATCH", f"{KSVC}/hello"): ksvc(),
        ("GET", KSVC): watched("Service", slow, then=({"type": "MODIFIED", "object": done},)),
    }
    (tmp_path / "f.yaml").write_text(MANIFEST)
    assert run(["apply", "-f", str(tmp_path / "f.yaml"), "--wait"]) == 0
    told = "service.serving.knative.dev/hello: "
    assert capsys.readouterr().err.splitlines() == [f"{told}Deploying: starts", f"{told}ready"]
    assert {query["fieldSelector"] for _, path, query, _ in api.asked if path == KSVC} == {"metadata.name=hello"}


def test_apply_wait_gives_up_with_the_last_word(api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line: what is not ready, after how long, and why."""
    broken = ksvc(status=ready("False", reason="RevisionFailed", message="no such bucket"))
    api.answers = {("PATCH", f"{KSVC}/hello"): ksvc(), ("GET", KSVC): watched("Service", broken)}
    (tmp_path / "f.yaml").write_text(MANIFEST)
    assert run(["apply", "-f", str(tmp_path / "f.yaml"), "--wait", "--timeout", "200ms"]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "error: service.serving.knative.dev/hello is not ready after 0.2 s: RevisionFailed: no such bucket"


def test_delete_by_name_and_by_file(api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is missing is an error of its own, and does not keep the others."""
    api.answers = {("DELETE", f"{KSVC}/a"): {}, ("DELETE", f"{KSVC}/hello"): {}}
    assert run(["delete", "ksvc", "a", "missing"]) == 1
    shown = capsys.readouterr()
    assert shown.out == "service.serving.knative.dev/a deleted\n"
    assert "missing not found" in shown.err
    (tmp_path / "f.yaml").write_text(MANIFEST)
    assert run(["delete", "-f", str(tmp_path / "f.yaml")]) == 0
    assert run(["delete", "ksvc/missing", "--ignore-not-found"]) == 0


# --- get -----------------------------------------------------------------------------------------------------------


def table(*names: str, version: str = "5") -> dict[str, Any]:
    return {
        "kind": "Table",
        "metadata": {"resourceVersion": version},
        "columnDefinitions": [{"name": "Name"}, {"name": "Ready"}],
        "rows": [{"cells": [name, "True"], "object": {"metadata": {"namespace": "default"}}} for name in names],
    }


def test_get_asks_for_a_table_and_shows_it(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    """By a short name, with a selector, in a namespace of one's own or in all."""
    api.answers = {
        ("GET", KSVC): lambda request: table("a") if "as=Table" in request.headers["Accept"] else None,
        ("GET", "/apis/serving.knative.dev/v1/services"): table("a", "b"),
    }
    assert run(["get", "ksvc", "-l", "x=y"]) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [["NAME", "READY"], ["a", "True"]]
    assert api.asked[-1][2] == {"labelSelector": "x=y"}
    assert run(["get", "ksvc", "-A"]) == 0
    assert capsys.readouterr().out.splitlines()[2].split() == ["default", "b", "True"]


def test_get_of_nothing_is_no_failure(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing on stdout, a word on stderr."""
    api.answers = {("GET", KSVC): table()}
    assert run(["get", "ksvc"]) == 0
    assert capsys.readouterr() == ("", "There are none in namespace 'default'.\n")


def test_get_in_other_forms(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    """Whole objects, without what nobody reads."""
    obj = ksvc(metadata=ksvc()["metadata"] | {"managedFields": [1]})
    api.answers = {("GET", f"{KSVC}/hello"): obj, ("GET", KSVC): many("Service", ksvc())}
    assert run(["get", "ksvc/hello", "-o", "json"]) == 0
    assert "managedFields" not in capsys.readouterr().out
    assert run(["get", "ksvc", "-o", "name"]) == 0
    assert capsys.readouterr().out == "service.serving.knative.dev/hello\n"
    assert run(["get", "ksvc", "hello", "-o", "yaml"]) == 0
    assert capsys.readouterr().out.startswith("apiVersion: serving.knative.dev/v1\nkind: Service\n")


# --- logs ----------------------------------------------------------------------------------------------------------


def pod(name: str, *, status: str = "True", **changes: Any) -> dict[str, Any]:
    metadata = {
        "name": name,
        "namespace": "default",
        "uid": f"uid-{name}",
        "resourceVersion": "3",
        "creationTimestamp": "2026-11-24T00:00:00Z",
        "annotations": {"torpor.dev/progress-path": "/progress"},
    }
    conditions = [{"type": "Ready", "status": status}]
    spec = {"containers": [{"name": "user-container", "ports": [{"containerPort": 8080}]}]}
    return {"metadata": metadata, "spec": spec, "status": {"conditions": conditions}} | changes


def test_logs_of_a_pod_and_of_a_service(api: Api, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """A pod's as they are, text or not; a service's pods told apart by their ends."""
    api.answers = {
        ("GET", f"{PODS}/hello-a1"): pod("hello-a1"),
        ("GET", f"{PODS}/hello-a1/log"): lambda _: web.Response(body=b"one\n\xfftwo\n"),
        ("GET", f"{PODS}/hello-b2/log"): lambda _: web.Response(body=b"three\n"),
        ("GET", f"{KSVC}/hello"): ksvc(),
        ("GET", PODS): many("Pod", pod("hello-a1"), pod("hello-b2")),
    }
    assert run(["logs", "hello-a1", "--tail", "2", "--previous"]) == 0
    assert capsysbinary.readouterr().out == b"one\n\xfftwo\n"
    assert api.asked[-1][2] == {"tailLines": "2", "previous": "true"}
    assert run(["logs", "ksvc/hello"]) == 0
    assert capsysbinary.readouterr().out.splitlines()[-1] == b"[b2] three"


def test_logs_of_a_service_at_zero(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    """There is nothing to show, and that is said."""
    api.answers = {("GET", f"{KSVC}/hello"): ksvc(), ("GET", PODS): many("Pod")}
    assert run(["logs", "hello"]) == 0
    assert "hello is at zero" in capsys.readouterr().err


# --- predict -------------------------------------------------------------------------------------------------------


def isvc(api: Api) -> dict[str, Any]:
    port = api.url.rpartition(":")[2]
    metadata = {"name": "m", "namespace": "default", "resourceVersion": "1"}
    return {"metadata": metadata, "status": {"url": f"http://m.default.localhost:{port}"}}


def predicts(request: web.Request) -> web.Response:
    assert request.host.startswith("m.default.localhost:"), "no name server is asked, yet the service knows its name"
    cold = {"Torpor-Cold-Start": "queue=1.5;load=1.0"}
    return web.Response(body=b'{"predictions": [2]}', content_type="application/json", headers=cold)


def test_predict_asks_a_model_that_is_awake(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    """The answer and nothing else."""
    api.answers = {
        ("GET", f"{ISVC}/m"): isvc(api),
        ("GET", PODS): many("Pod", pod("m-1")),
        ("POST", "/v1/models/m:predict"): predicts,
    }
    assert run(["predict", "m", "-d", "[1]"]) == 0
    assert capsys.readouterr() == ('{"predictions": [2]}\n', "")
    assert api.asked[-1][3] == b'{"instances":[1]}'


def test_predict_shows_a_wake(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    """The pod that comes, and what it reports through the API, become stages."""
    progress = {
        "state": "ready",
        "listening_at": 1.0,
        "ready_at": 2.0,
        "stages": [{"name": "fetch", "started_at": 1.0, "seconds": 0.5, "bytes": 7}],
    }
    fresh = pod("m-1", status="False")
    api.answers = {
        ("GET", f"{ISVC}/m"): isvc(api),
        ("GET", PODS): watched("Pod", then=({"type": "ADDED", "object": fresh},)),
        ("GET", f"{PODS}/m-1:8080/proxy/progress"): events({"state": "loading"}, progress),
        ("POST", "/v1/models/m:predict"): predicts,
    }
    assert run(["predict", "m", "--text", "a", "--json"]) == 0
    shown = capsys.readouterr()
    line = orjson.loads(shown.out)
    assert (line["status"], line["answer"]) == (200, {"predictions": [2]})
    assert line["cold_start"] == {"queue": 1.5, "load": 1.0}
    assert set(line["stages"]) == {"wake", "start", "fetch", "answer"}
    assert shown.err.splitlines()[0] == "m is at zero; waking it"
    assert "fetch" in shown.err


def test_predict_says_what_the_door_says(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    """A refusal is one line with status and reason, and exit status 1."""
    failed = {"error": "fetch: no such bucket", "reason": "ModelLoadFailed"}
    api.answers = {
        ("GET", f"{ISVC}/m"): isvc(api),
        ("GET", PODS): many("Pod", pod("m-1")),
        ("POST", "/v1/models/m:predict"): lambda _: web.json_response(failed, status=503),
    }
    assert run(["predict", "m", "-d", "[1]"]) == 1
    assert capsys.readouterr().err == "error: HTTP 503 ModelLoadFailed: fetch: no such bucket\n"


def test_predict_of_a_service_without_an_address_says_why(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    """Its condition is the best that is known."""
    api.answers = {
        ("GET", f"{ISVC}/m"): isvc(api) | {"status": ready("False", reason="Bad", message="unknown format")},
    }
    assert run(["predict", "m", "-d", "[1]"]) == 1
    assert capsys.readouterr().err == "error: m has no address yet: Bad: unknown format\n"
