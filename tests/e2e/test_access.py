"""A lock on a service, through a whole laptop: keys by the command line, 401 without, and zero stays zero."""

from __future__ import annotations

import base64
from typing import Any

import grpc
import httpx
import pytest

from tests.e2e.test_grpc import channel
from tests.e2e.test_grpc import service as grpc_service
from tests.support.laptop import Laptop, wait_for
from tests.support.manifests import SERVER, SOON, knative_service

pytestmark = pytest.mark.e2e

SECRET = "strongroom-keys"  # a name
POLICY = {"torpor.dev/access": f"keys={SECRET}"}


def locked(obj: dict[str, Any]) -> dict[str, Any]:
    obj["metadata"]["annotations"] = obj["metadata"].get("annotations", {}) | POLICY
    return obj


def new_key(laptop: Laptop, name: str, *options: str) -> str:
    done = laptop.torpor("key", "create", name, "--secret", SECRET, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def pods(laptop: Laptop, service: str) -> list[dict[str, Any]]:
    return laptop.list("pods", f"serving.knative.dev/service={service}")


def statuses(http: httpx.Client, *credentials: str | None) -> list[int]:
    headers = ({} if each is None else {"Authorization": f"Bearer {each}"} for each in credentials)
    return [http.get("/", headers=each).status_code for each in headers]


def test_a_service_with_a_lock(laptop: Laptop) -> None:
    """From the first moment; a key opens it, until it is revoked; whoever has none starts no pod."""
    laptop.apply(locked(knative_service("strongroom")))
    laptop.wait_ready("ksvc", "strongroom")
    with laptop.client("strongroom") as http:
        # No Secret yet: nobody passes, and the owner is told.
        assert statuses(http, None, "tk_nope") == [401, 503]
        events = lambda: [each for each in laptop.list("events") if each["reason"] == "AccessPolicyUnusable"]  # noqa: E731
        wait_for(
            lambda: {each["involvedObject"]["kind"] for each in events()} == {"Route", "Service"}, 20, "two events"
        )
        key, other = new_key(laptop, "alice"), new_key(laptop, "bob", "--rate", "1/h", "--service", "strongroom")
        wait_for(lambda: statuses(http, key) == [200], 10, "the key is known")
        assert statuses(http, None, key[:-1], key[:-1] + "_", other, other) == [401, 401, 401, 200, 429]
        laptop.wait_zero("strongroom")
        answers = [http.get("/", headers={"X-API-Key": each}) for each in ("x", key[:-3] + "abc") for _ in range(20)]
        assert {answer.status_code for answer in answers} == {401}
        by_path = httpx.get(f"http://127.0.0.1:{laptop.http_port}/serving/default/strongroom/")
        assert by_path.status_code == 401
        assert by_path.headers["WWW-Authenticate"].startswith("Bearer")
        done = laptop.torpor("predict", "strongroom", "--path", "/")
        assert (done.returncode, "HTTP 401 Unauthorized" in done.stderr) == (1, True)
        # That took a process's start: a pod that was asked for before would be there by now.
        assert (laptop.replicas("serving.knative.dev/service=strongroom"), pods(laptop, "strongroom")) == (0, [])
        done = laptop.torpor("predict", "strongroom", "--path", "/", "--key", key)
        assert done.returncode == 0, done.stderr
        listed = laptop.torpor("key", "list", "--secret", SECRET)
        assert "alice" in listed.stdout
        assert key not in listed.stdout
        assert laptop.torpor("key", "revoke", "alice", "--secret", SECRET).returncode == 0
        wait_for(lambda: statuses(http, key) == [401], 10, "the key is revoked")
    _is_nowhere(laptop, key, other)


def test_an_inference_service_and_calls(laptop: Laptop) -> None:
    """An InferenceService's lock is before both of its names, and before gRPC."""
    laptop.torpor("key", "revoke", "carol", "--secret", SECRET)
    key = new_key(laptop, "carol")
    container = {"name": "kserve-container", "image": "example.com/server", "command": ["python3", "-u", "-c", SERVER]}
    model = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "safe", "namespace": "default", "annotations": SOON},
        "spec": {"predictor": {"minReplicas": 0, "containers": [container]}},
    }
    laptop.apply(locked(model), locked(grpc_service("calls")))
    laptop.wait_ready("isvc", "safe")
    laptop.wait_ready("ksvc", "calls")
    for name in ("safe", "safe-predictor"):
        with laptop.client(name) as http:
            wait_for(lambda http=http: statuses(http, key) == [200], 10, "the key is known")
            assert statuses(http, None) == [401]
    with channel(laptop, "calls") as client:
        ask = client.unary_unary("/demo.Demo/Answer")
        with pytest.raises(grpc.RpcError) as error:
            ask(b"hello", timeout=60)
        assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert ask(b"hello", timeout=60, metadata=[("authorization", f"Bearer {key}")]) == b"HELLO"
    # The lock comes off as it came.
    assert laptop.kubectl("annotate", "isvc", "safe", "torpor.dev/access-").returncode == 0
    for name in ("safe", "safe-predictor"):
        with laptop.client(name) as http:
            wait_for(lambda http=http: statuses(http, None) == [200], 20, "the lock is off")


def _is_nowhere(laptop: Laptop, *keys: str) -> None:
    """Neither in what is kept, nor in what was logged: digests alone."""
    written = [path.read_bytes() for path in laptop.data_dir.rglob("*") if path.is_file()]
    assert len(written) > 5
    for key in keys:
        secret = key.rpartition("_")[2].encode()
        for form in (secret, base64.b64encode(key.encode())):
            assert not any(form in each for each in written)
