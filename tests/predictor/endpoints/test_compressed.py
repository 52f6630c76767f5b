"""Answers that are compressed: for whom, from which size on, and where it pays; Triton's clients read them."""

from __future__ import annotations

import asyncio
import gc
import gzip
import zlib
from typing import Any

import numpy as np
import orjson
import pytest
import tritonclient.http as sync
import tritonclient.http.aio as aio
from hypothesis import given
from hypothesis import strategies as st

from predictor.endpoints.compressed import LEAST_BYTES, preferred
from tests.predictor.endpoints.pod import Pod
from torpor.protocol.headers import HEADER_LENGTH

pytestmark = pytest.mark.filterwarnings("ignore:.*Connection.__del__:pytest.PytestUnraisableExceptionWarning")

INFER = "/v2/models/m/infer"
ROWS = 3000
UNPACK = {"gzip": gzip.decompress, "deflate": zlib.decompress}
NOISE = np.random.default_rng(0).normal(size=(ROWS, 2))
EVEN = np.ones((ROWS, 2))


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        pytest.param("gzip", "gzip", id="gzip"),
        pytest.param("deflate", "deflate", id="deflate"),
        pytest.param("gzip, deflate, br, zstd", "gzip", id="as-clients-say-without-being-told"),
        pytest.param("X-GZIP", "gzip", id="an-old-name"),
        pytest.param("gzip;q=0.5, deflate;q=0.8", "deflate", id="the-heavier"),
        pytest.param("deflate;q=1.0, gzip;q=1.0", "gzip", id="as-heavy"),
        pytest.param("*", "gzip", id="anything"),
        pytest.param("gzip;q=0, *;q=0.1", "deflate", id="anything-but"),
        pytest.param("gzip;q=0", None, id="refused"),
        pytest.param("identity, gzip;q=0.5", None, id="rather-as-it-is"),
        pytest.param("identity", None, id="as-it-is"),
        pytest.param("br", None, id="what-is-not-offered"),
        pytest.param("", None, id="nothing"),
        pytest.param("gzip;q=high", None, id="no-weight"),
        pytest.param("gzip;q=nan", None, id="no-number"),
        pytest.param("gzip;q=2", None, id="too-heavy"),
    ],
)
def test_the_coding_that_is_liked_best(accepted: str, coding: str | None) -> None:
    """RFC 9110, 12.5.3; what cannot be read is as good as a refusal."""
    assert preferred(accepted) == coding


@given(st.text() | st.lists(st.sampled_from(["gzip", "*", ";", "q", "=", "0", ".", ",", " "])).map("".join))
def test_no_header_is_an_error(accepted: str) -> None:
    assert preferred(accepted) in {None, "gzip", "deflate"}


async def asked(pod: Pod, array: Any, accepted: str) -> tuple[bytes, Any]:
    """Return what came over the wire of a binary answer, and its headers."""
    parameters = {"binary_data_size": array.nbytes}
    tensor = {"name": "x", "datatype": "FP64", "shape": array.shape, "parameters": parameters}
    head = orjson.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}})
    headers = {HEADER_LENGTH: str(len(head)), "Accept-Encoding": accepted}
    async with pod.http.stream("POST", INFER, content=head + array.tobytes(), headers=headers) as answer:
        assert answer.status_code == 200
        return b"".join([part async for part in answer.aiter_raw()]), answer.headers


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_asked_for_is_the_same_answer_in_fewer_bytes(pod: Pod, coding: str) -> None:
    """Its JSON is as long as the header says once it is unpacked."""
    plain, _ = await asked(pod, EVEN, "identity")
    packed, headers = await asked(pod, EVEN, coding)
    assert (headers["content-encoding"], headers["vary"]) == (coding, "accept-encoding")
    assert int(headers["content-length"]) == len(packed) < len(plain) / 10
    assert UNPACK[coding](packed) == plain
    assert plain[int(headers[HEADER_LENGTH]) :] == np.stack([EVEN * 2, -EVEN]).tobytes()


@pytest.mark.parametrize(
    ("array", "accepted"),
    [
        pytest.param(EVEN, "identity", id="nobody-asks"),
        pytest.param(EVEN, "gzip;q=0", id="refused"),
        pytest.param(EVEN[: LEAST_BYTES // 64 - 50], "gzip", id="small"),
        pytest.param(NOISE, "gzip", id="it-would-not-shrink"),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_other_answers_are_sent_as_they_are(pod: Pod, array: Any, accepted: str) -> None:
    body, headers = await asked(pod, array, accepted)
    assert "content-encoding" not in headers
    assert body[int(headers[HEADER_LENGTH]) :] == np.stack([array * 2, -array]).tobytes()


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
@pytest.mark.asyncio(loop_scope="module")
async def test_tritons_clients_read_them(pod: Pod, algorithm: str, *, binary: bool) -> None:
    """The one that blocks and its asyncio twin, by `response_compression_algorithm`."""
    array = EVEN[: ROWS if binary else ROWS // 2]

    def asking(module: Any) -> tuple[list[Any], dict[str, Any]]:
        given = module.InferInput("x", array.shape, "FP64")
        given.set_data_from_numpy(array, binary_data=binary)
        outputs = [module.InferRequestedOutput("double", binary_data=binary)]
        return [given], {"outputs": outputs, "response_compression_algorithm": algorithm}

    def blocking() -> Any:
        client = sync.InferenceServerClient(f"127.0.0.1:{pod.port}")
        try:
            inputs, options = asking(sync)
            return client.infer("m", inputs, **options)
        finally:
            client.close()

    inputs, options = asking(aio)
    async with aio.InferenceServerClient(f"127.0.0.1:{pod.port}") as client:
        results = [await asyncio.to_thread(blocking), await client.infer("m", inputs, **options)]
    gc.collect()  # what it has lost is found here, and not in another module's tests
    for each in results:
        assert each.as_numpy("double").tolist() == (array * 2).tolist()
