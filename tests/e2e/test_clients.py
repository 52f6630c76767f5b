"""The official Python clients: `kubernetes`, and the KServe SDK."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.support.laptop import Laptop
from tests.support.manifests import inference_service, knative_service
from tests.support.models import save_iris

pytestmark = pytest.mark.e2e

KSVC = ("serving.knative.dev", "v1", "default", "services")
SETOSA = [5.1, 3.5, 1.4, 0.2]
VIRGINICA = [6.7, 3.0, 5.2, 2.3]


@pytest.fixture
def api(laptop: Laptop) -> Iterator[Any]:
    """An ApiClient of the `kubernetes` package, configured by the kubeconfig that `torpor up` wrote."""
    from kubernetes import config

    with config.new_client_from_config(str(laptop.kubeconfig)) as client:
        yield client


def test_the_kubernetes_client_creates_watches_patches_and_deletes(api: Any) -> None:
    """A Knative Service through CustomObjectsApi; the watch tells each step."""
    from kubernetes import client, watch

    custom = client.CustomObjectsApi(api)
    seen: list[tuple[str, str]] = []
    watcher = watch.Watch()
    # From here on: a watch that begins when all is over would see nothing.
    since = custom.list_namespaced_custom_object(*KSVC)["metadata"]["resourceVersion"]

    def follow() -> None:
        listed = custom.list_namespaced_custom_object
        stream = watcher.stream(listed, *KSVC, resource_version=since, timeout_seconds=60)
        for event in stream:
            metadata = event["object"]["metadata"]
            if metadata["name"] == "watched":
                seen.append((event["type"], metadata.get("labels", {}).get("colour", "")))
                if event["type"] == "DELETED":
                    watcher.stop()

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    custom.create_namespaced_custom_object(*KSVC, knative_service("watched"))
    body = {"metadata": {"labels": {"colour": "blue"}}}
    patched = custom.patch_namespaced_custom_object(*KSVC, "watched", body)
    assert patched["metadata"]["labels"]["colour"] == "blue"
    custom.delete_namespaced_custom_object(*KSVC, "watched")
    thread.join(60)
    assert not thread.is_alive(), f"the watch saw {seen}"
    assert seen[0][0] == "ADDED"
    assert ("MODIFIED", "blue") in seen
    assert seen[-1][0] == "DELETED"


def test_the_kubernetes_client_reads_typed_objects(api: Any) -> None:
    """The generated models accept what the API says; an old resourceVersion is a conflict."""
    from kubernetes import client

    core = client.CoreV1Api(api)
    assert "default" in {each.metadata.name for each in core.list_namespace().items}
    box = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="typed"), data={"a": "1"})
    created = core.create_namespaced_config_map("default", box)
    created.data = {"a": "2"}
    assert core.replace_namespaced_config_map("typed", "default", created).data == {"a": "2"}
    with pytest.raises(client.ApiException) as caught:
        core.replace_namespaced_config_map("typed", "default", created)
    assert caught.value.status == 409
    core.delete_namespaced_config_map("typed", "default")
    with pytest.raises(client.ApiException) as caught:
        core.read_namespaced_config_map("typed", "default")
    assert caught.value.status == 404


async def test_the_kserve_sdk_creates_waits_and_predicts_by_v1_and_v2(laptop: Laptop) -> None:
    """From the SDK's own models of an InferenceService to numbers out of it."""
    from kserve import InferenceRESTClient, InferInput, InferRequest, KServeClient, RESTConfig

    save_iris(laptop.data_dir / "volumes/default/models/iris-sdk")
    sdk = KServeClient(config_file=str(laptop.kubeconfig))
    sdk.create(_sdk_service("iris-sdk", "pvc://models/iris-sdk"), namespace="default")
    try:
        sdk.wait_isvc_ready("iris-sdk", namespace="default", timeout_seconds=90, polling_interval=1)
        sdk.wait_isvc_ready("iris-sdk", namespace="default", timeout_seconds=30, watch=True)
        base = f"http://127.0.0.1:{laptop.http_port}"
        headers = laptop.host("iris-sdk")
        async with InferenceRESTClient(RESTConfig(protocol="v1")) as v1:
            answer = await v1.infer(
                base, {"instances": [SETOSA, VIRGINICA]}, model_name="iris-sdk", headers=dict(headers)
            )
            assert answer == {"predictions": [0, 2]}
        async with InferenceRESTClient(RESTConfig(protocol="v2")) as v2:
            assert await v2.is_server_live(base, headers=headers)
            assert await v2.is_server_ready(base, headers=headers)
            assert await v2.is_model_ready(base, "iris-sdk", headers=headers)
            tensor = InferInput("input-0", [2, 4], "FP64")
            tensor.set_data_from_numpy(np.array([SETOSA, VIRGINICA]), binary_data=False)
            request = InferRequest("iris-sdk", [tensor], request_id="seven")
            result = await v2.infer(base, request, model_name="iris-sdk", headers=dict(headers))
        assert (result.id, result.model_name) == ("seven", "iris-sdk")
        assert result.outputs[0].as_numpy().tolist() == [0, 2]
    finally:
        sdk.delete("iris-sdk", namespace="default")


class _Serialized(dict[str, Any]):
    """What `KServeClient.create` needs with version 37 of `kubernetes`: a dictionary that tells its version."""

    api_version = "serving.kserve.io/v1beta1"


def _serialize(model: Any) -> Any:
    """Write a model of the SDK in the API's own field names; version 37 of `kubernetes` no longer does it."""
    if isinstance(model, list):
        return [_serialize(each) for each in model]
    if hasattr(model, "attribute_map"):
        fields = {wire: getattr(model, name) for name, wire in model.attribute_map.items()}
        return {wire: _serialize(value) for wire, value in fields.items() if value is not None}
    return model.to_dict() if hasattr(model, "to_dict") else model


def _sdk_service(name: str, uri: str) -> _Serialized:
    """The object as the SDK's users build it."""
    from kserve import V1beta1InferenceService, V1beta1InferenceServiceSpec, V1beta1PredictorSpec, V1beta1SKLearnSpec
    from kubernetes.client import V1ObjectMeta

    service = V1beta1InferenceService(
        api_version=_Serialized.api_version,
        kind="InferenceService",
        metadata=V1ObjectMeta(name=name, namespace="default"),
        spec=V1beta1InferenceServiceSpec(
            predictor=V1beta1PredictorSpec(min_replicas=0, sklearn=V1beta1SKLearnSpec(storage_uri=uri))
        ),
    )
    return _Serialized(_serialize(service))


def test_the_model_form_and_the_legacy_form_serve_the_same(laptop: Laptop) -> None:
    """`model: {modelFormat: …}` and `sklearn: {storageUri: …}` are two spellings of one wish."""
    save_iris(laptop.data_dir / "volumes/default/models/iris-model")
    laptop.apply(inference_service("iris-model", "sklearn", "pvc://models/iris-model"))
    laptop.wait_ready("isvc", "iris-model")
    with laptop.client("iris-model") as http:
        answer = http.post("/v1/models/iris-model:predict", json={"instances": [SETOSA]})
    assert answer.json() == {"predictions": [0]}
    laptop.kubectl("delete", "isvc", "iris-model", "--wait=false")
