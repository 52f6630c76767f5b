"""Answers that are kept: for the very same request, within their bytes, the latest ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.batching.options import Batching
from predictor.cache import ENTRY_BYTES, ResponseCache, key_of
from predictor.calls import Call, Explain, Handle, Infer, Predict
from predictor.model import HandlerRequest
from predictor.settings import from_environment
from tests.predictor.endpoints.pod import Pod, running
from torpor.errors import SettingError
from torpor.protocol.inference import InferRequest, Wanted
from torpor.protocol.tensors import Tensor

POD = {"TORPOR_MODEL_NAME": "m", "TORPOR_MODEL_FORMAT": "python", "STORAGE_URI": "file:///m"}


def infer(array: Any, name: str = "x", id_: str | None = None, **parameters: Any) -> Infer:
    wanted = (Wanted("y"),) if id_ else None
    return Infer(InferRequest((Tensor(name, np.asarray(array)),), wanted, id_, parameters))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param(infer([[1.0]]), infer([[1.0]], id_="7"), True, id="whose it is, and what of it is wanted"),
        pytest.param(infer([[1.0]]), infer([[1.0]], timeout=5, priority=1), True, id="how long it may wait"),
        pytest.param(infer([[1.0]]), infer([[2.0]]), False, id="another value"),
        pytest.param(infer([[1.0]]), infer([1.0]), False, id="another shape"),
        pytest.param(infer([[1]]), infer(np.array([[1]], np.int32)), False, id="another type"),
        pytest.param(infer([[0.0]]), infer([[-0.0]]), False, id="equal, and not the same"),
        pytest.param(infer([[1.0]]), infer([[1.0]], "z"), False, id="another name"),
        pytest.param(infer([[1.0]]), infer([[1.0]], top=1), False, id="a parameter"),
        pytest.param(infer([["a"]]), infer([["a"]]), True, id="texts"),
        pytest.param(
            infer(np.array([b"ab", b"c"], object)),
            infer(np.array([b"a", b"bc"], object)),
            False,
            id="texts cut",
        ),
        pytest.param(Predict([1, {"a": 2}]), Predict([1, {"a": 2}]), True, id="V1"),
        pytest.param(Predict([1]), Predict([1.0]), False, id="V1, another type"),
        pytest.param(Predict([1]), Predict([1], {"top": 1}), False, id="V1 with a parameter"),
        pytest.param(Predict([1]), infer([1]), False, id="V1 and V2"),
    ],
)
def test_what_is_the_same(one: Call, other: Call, same: bool) -> None:  # noqa: FBT001
    keys = [key_of(each) for each in (one, other)]
    assert keys[0] is not None
    assert keys[1] is not None
    assert (keys[0].content == keys[1].content) is same


@pytest.mark.parametrize("call", [Explain([1]), Handle(HandlerRequest({}, {}, "1"))])
def test_what_is_never_kept(call: Call) -> None:
    assert key_of(call) is None


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(1, 60)), max_size=60), st.integers(0, 8000))
def test_the_latest_are_kept_within_the_bytes(asked: Sequence[tuple[int, int]], most: int) -> None:
    """Nothing is over the limit, what is found is right, and whoever was asked for last is there if it fits."""
    cache = ResponseCache(most)
    for number, length in asked:
        call = Predict([number])
        key = key_of(call)
        assert key is not None
        found = cache.find(key)
        if found is None:
            answer = [number] * length
            cache.keep(key, call, answer)
            fits = ENTRY_BYTES + key.size + 4 * len(str({"predictions": answer}).replace(" ", "")) <= most
            assert (cache.find(key) == answer) is fits
        else:
            assert set(found) == {number}
        assert cache.bytes_held <= most
    assert (cache.bytes_held == 0) == (len(cache) == 0)


def test_texts_count_by_their_length() -> None:
    """Their array holds only where they are."""
    cache = ResponseCache(1_000_000)
    for number in range(20):
        call = infer(np.array([[b"%d" % number + b"x" * 100_000]], object))
        key = key_of(call)
        assert key is not None
        assert key.size > 100_000
        cache.keep(key, call, [Tensor("y", np.array([[b"y"]], object))])
    assert (len(cache), cache.bytes_held <= 1_000_000) == (9, True)


def test_an_answer_is_kept_apart_from_its_batch() -> None:
    """And nobody can change it."""
    call, whole = infer([[1.0]]), np.ones((1000, 10))
    key, cache = key_of(call), ResponseCache(10_000)
    assert key is not None
    cache.keep(key, call, [Tensor("y", whole[3:4])])
    whole[:] = 0
    (found,) = cache.find(key)
    assert found.array.tolist() == [[1.0] * 10]
    with pytest.raises(ValueError, match="read-only"):
        found.array[0] = 5


async def ask(pod: Pod, value: int, id_: str) -> dict[str, Any]:
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [value, value]}
    answer = await pod.http.post("/v2/models/m/infer", json={"inputs": [tensor], "id": id_})
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("batching", [None, Batching(4)], ids=["one by one", "batches"])
async def test_a_request_that_comes_again_is_not_computed(batching: Batching | None) -> None:
    """Its own id comes back; the statistics tell of it, and a failure is not kept."""
    async with running(batching=batching, cache_bytes=100_000) as pod:
        for number in range(3):
            found = await ask(pod, 1, str(number))
            assert (found["id"], found["outputs"][0]["data"]) == (str(number), [2, 2])
        assert (await ask(pod, 2, "x"))["outputs"][0]["data"] == [4, 4]
        assert len(pod.model.computed) == 2
        stats = (await pod.http.get("/v2/models/m/stats")).json()["model_stats"][0]
        times = stats["inference_stats"]
        assert (times["cache_hit"]["count"], times["cache_miss"]["count"], times["success"]["count"]) == (2, 2, 4)
        assert (stats["inference_count"], stats["execution_count"]) == (2, 2)
        text = (await pod.http.get("/metrics")).text
        assert 'nv_cache_num_hits_per_model{model="m",version="1"} 2.0' in text
        for _ in range(2):
            assert (await pod.http.post("/v1/models/m:predict", json={"instances": [None]})).status_code == 500


def test_setting() -> None:
    source = from_environment(POD | {"TORPOR_PREDICTOR_CACHE_BYTES": "64Mi"}).source
    assert source.cache_bytes == 64 * 1024 * 1024
    assert from_environment(POD).source.cache_bytes == 0
    with pytest.raises(SettingError, match="TORPOR_PREDICTOR_CACHE_BYTES: 'much'"):
        from_environment(POD | {"TORPOR_PREDICTOR_CACHE_BYTES": "much"})
