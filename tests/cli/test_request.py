"""What is typed after `torpor predict` becomes the request one means."""

from __future__ import annotations

import orjson
import pytest

from torpor.cli.request import build_call, read_data
from torpor.errors import InvalidInputError

V1 = "/v1/models/m:predict"
V2 = "/v2/models/m/infer"
TEXT_INPUT = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"]}


@pytest.mark.parametrize(
    ("body", "texts", "protocol", "path", "sent"),
    [
        pytest.param(b'{"instances":[1]}', (), "v1", None, ("POST", V1, {"instances": [1]}), id="v1"),
        pytest.param(b"[[1]]", (), "v1", None, ("POST", V1, {"instances": [[1]]}), id="a-bare-list-means-instances"),
        pytest.param(b'{"inputs":[]}', (), "v2", None, ("POST", V2, {"inputs": []}), id="v2"),
        pytest.param(None, ("a", "b"), "v1", None, ("POST", V1, {"instances": ["a", "b"]}), id="texts-by-v1"),
        pytest.param(None, ("a",), "v2", None, ("POST", V2, {"inputs": [TEXT_INPUT]}), id="texts-by-v2"),
        pytest.param(b'{"x":1}', (), "v1", "/mine", ("POST", "/mine", {"x": 1}), id="own-path-own-body"),
        pytest.param(None, (), "v1", "/v2", ("GET", "/v2", None), id="own-path-without-a-body"),
    ],
)
def test_a_model_is_asked(
    body: bytes | None, texts: tuple[str, ...], protocol: str, path: str | None, sent: tuple[str, str, object]
) -> None:
    """Method, path and body follow from protocol and data."""
    call = build_call("m", body, texts, protocol, path, is_model=True)
    assert (call.method, call.path, None if call.body is None else orjson.loads(call.body)) == sent


@pytest.mark.parametrize(
    ("body", "method"), [pytest.param(None, "GET", id="without-data"), pytest.param(b"any", "POST", id="with-data")]
)
def test_a_knative_service_is_asked_at_its_root(body: bytes | None, method: str) -> None:
    """What it expects is its own affair: data goes as it is."""
    call = build_call("m", body, (), "v1", None, is_model=False)
    assert (call.method, call.path, call.body) == (method, "/", body)


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        pytest.param(None, None, "--data", id="a-model-needs-data"),
        pytest.param(b"{x}", None, "JSON is needed", id="no-json"),
        pytest.param(b"{}", "mine", "it begins with /", id="a-path-without-slash"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_a_model_is_woken(
    body: bytes | None, path: str | None, message: str
) -> None:
    """A cold start is too dear for a request that must fail."""
    with pytest.raises(InvalidInputError, match=message):
        build_call("m", body, (), "v1", path, is_model=True)


def test_a_file_that_is_not_there_is_said() -> None:
    """The option and the file are named."""
    with pytest.raises(InvalidInputError, match=r"--data: '@/no/such'"):
        read_data("@/no/such")
