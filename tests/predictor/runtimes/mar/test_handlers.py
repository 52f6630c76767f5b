"""Handlers of users' own: functions and classes, what they are told, what they may answer, and how they fail."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from predictor.model import HandlerAnswer, HandlerError, HandlerRequest
from predictor.runtimes.mar import entry
from predictor.runtimes.mar.model import MarModel
from tests.predictor.runtimes.mar.packing import manifest, opened, packed
from torpor.errors import InvalidInputError, LoadError
from torpor.protocol.tensors import Tensor

CLASS = """
class Handler:
    def initialize(self, context):
        self.folder = context.system_properties["model_dir"]
    def handle(self, data, context):
        return [{body}]
"""


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """A handler's modules are modules of the process."""
    before, path = dict(sys.modules), list(sys.path)
    yield
    for name in set(sys.modules) - set(before):
        del sys.modules[name]
    assert sys.path == path
    entry._folders.clear()


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Any]:
    """Opens archives, and closes them after the test."""
    models: list[MarModel] = []

    def make(source: str, said: str | None = None, **files: str) -> MarModel:
        beside = {name.replace("__", "."): content for name, content in files.items()}
        path = packed(tmp_path / str(len(models)) / "m.mar", {"handler.py": source, **beside}, said)
        models.append(opened(path, tmp_path))
        return models[-1]

    yield make
    for each in models:
        each.close()


def function(body: str) -> str:
    return f"def handle(data, context):\n    if data is None:\n        return None\n    {body}\n"


def asked(model: MarModel, parts: Mapping[str, Any] | None = None, **headers: str) -> HandlerAnswer:
    request = HandlerRequest({"body": 1} if parts is None else parts, headers, "id-1")
    (answer,) = model.handle([request])
    return answer


def test_a_function_is_told_to_initialize_itself(made: Any) -> None:
    """By a call without data, as TorchServe does it."""
    model = made("calls = []\ndef handle(data, context):\n    calls.append(data)\n    return data and [calls]\n")
    assert model.predict([{"data": 1}]) == [[None, [{"data": 1}]]]


def test_a_class_is_initialized_and_its_files_lie_beside_it(made: Any) -> None:
    """In the folder that it is told, and on the path of modules."""
    source = CLASS.replace("{body}", "pathlib.Path(self.folder, 'words.txt').read_text() + beside.WORD")
    model = made("import beside, pathlib\n" + source, words__txt="hello ", beside__py="WORD = 'world'\n")
    assert model.predict([{}]) == ["hello world"]


@pytest.mark.parametrize(
    ("handler", "answer"),
    [
        pytest.param("handler", "handle", id="a module"),
        pytest.param("handler.py", "handle", id="a file"),
        pytest.param("handler:One", "One", id="a class of several"),
        pytest.param("handler:other", "other", id="a function of several"),
    ],
)
def test_the_manifest_says_what_the_handler_is(made: Any, handler: str, answer: str) -> None:
    """In all the ways that TorchServe knows, and a class by its name."""
    source = "".join(
        f"class {name}:\n    def handle(self, data, context): return ['{name}']\n" for name in ("One", "Two")
    )
    source += "".join(f"def {name}(data, context): return ['{name}']\n" for name in ("handle", "other"))
    assert made(source, manifest(handler)).predict([{}]) == [answer]


def test_a_handler_is_told_of_its_model_and_of_the_request(made: Any) -> None:
    """Manifest, configuration, headers in any case, id, the parts by name; nothing where there is nothing."""
    model = made(
        function(
            "return [[sorted(data[0]), context.manifest['model']['modelName'], context.model_name,"
            " context.model_yaml_config, context.get_request_header(0, 'X-Tenant'), context.get_request_id(0),"
            " context.get_request_header(0, 'explain'), context.system_properties['batch_size'],"
            " context.get_all_request_header(0)]]"
        ),
        manifest(configFile="c.yaml"),
        c__yaml="maxWorkers: 2\nhandler: {topk: 3}\n",
    )
    told = {"maxWorkers": 2, "handler": {"topk": 3}}
    (answer,) = model.handle([HandlerRequest({"a": b"", "b": b""}, {"x-tenant": "t"}, "id-1")])
    assert answer.media_type == "application/json"
    import orjson

    assert orjson.loads(answer.body) == [["a", "b"], "m", "m", told, "t", "id-1", None, 1, {"x-tenant": "t"}]


@pytest.mark.parametrize(
    ("body", "sent", "media_type"),
    [
        pytest.param("return [b'\\x00\\xff']", b"\x00\xff", "application/octet-stream", id="octets"),
        pytest.param("return ['é']", "é".encode(), "text/plain; charset=utf-8", id="a text"),
        pytest.param("return [{'a': [1, None]}]", b'{"a":[1,null]}', "application/json", id="json"),
        pytest.param(
            "import numpy; return [{1: numpy.ones(2)}]", b'{"1":[1.0,1.0]}', "application/json", id="an array"
        ),
        pytest.param(
            "context.set_response_content_type(0, 'image/png'); return [b'x']", b"x", "image/png", id="its own type"
        ),
    ],
)
def test_answers_are_sent_as_they_are(made: Any, body: str, sent: bytes, media_type: str) -> None:
    """What is neither octets nor text, as JSON."""
    assert asked(made(function(body))) == HandlerAnswer(sent, media_type)


def test_an_answer_may_have_a_status_and_headers(made: Any) -> None:
    """But for those of the connection."""
    model = made(
        function(
            "context.set_response_status(201, 'Made'); context.set_response_header(0, 'X-A', 'b');"
            "context.set_response_header(0, 'Content-Length', '3'); return ['x']"
        )
    )
    assert asked(model) == HandlerAnswer(b"x", "text/plain; charset=utf-8", 201, (("X-A", "b"),))


@pytest.mark.parametrize("header", ["'X-A', 'b\\r\\nSet-Cookie: c'", "'X A', 'b'", "'X-A', 'é'"])
def test_a_header_that_would_be_two_is_not_sent(made: Any, header: str) -> None:
    """A handler that copies a client's words must not let it write the answer."""
    with pytest.raises(HandlerError, match="set a header that is none") as caught:
        asked(made(function(f"context.set_response_header(0, {header}); return ['x']")))
    assert caught.value.status == 503


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        pytest.param("return 'x'", 503, "Invalid model predict output.*not str", id="no list"),
        pytest.param("return []", 503, "number of batch response mismatched: 0 for 1", id="too few"),
        pytest.param("return [1, 2]", 503, "mismatched: 2 for 1", id="too many"),
        pytest.param("raise KeyError('secret')", 503, "^Prediction failed", id="it raises"),
        pytest.param("raise SystemExit(3)", 503, "^Prediction failed", id="it exits"),
        pytest.param("raise MemoryError", 507, "Out of resources", id="no memory"),
        pytest.param("return [object()]", 503, "no JSON", id="what cannot be written"),
        pytest.param("raise PredictionException('too dark', 422)", 422, "^too dark$", id="it refuses"),
        pytest.param("raise PredictionException('no', 'x')", 503, "^no$", id="it refuses with no status"),
    ],
)
def test_failures_have_the_status_that_torchserve_gives_them(made: Any, body: str, status: int, says: str) -> None:
    """And the next request is answered."""
    source = "from ts.utils.util import PredictionException\n"
    model = made(source + function(f"if data[0]['body'] == 'well': return [1]\n    {body}"))
    with pytest.raises(HandlerError, match=says) as caught:
        asked(model)
    assert caught.value.status == status
    assert "secret" not in str(caught.value)
    assert asked(model, {"body": "well"}).body == b"1"


@pytest.mark.parametrize(
    ("source", "said", "says"),
    [
        pytest.param("x = 1\n", None, "handler.py needs a function `handle.* classes are: none", id="nothing"),
        pytest.param("class A: pass\n", None, "classes are: A", id="a class without handle"),
        pytest.param(
            "", manifest("handler:B"), "handler handler:B: handler.py has no B", id="a class that is not there"
        ),
        pytest.param("class B: pass\n", manifest("handler:B"), "class B has no method `handle", id="a class of no use"),
        pytest.param("import no_such\n", None, "needs the module no_such, which is not installed", id="a module"),
        pytest.param(
            "import no_such.deep\n",
            manifest(requirementsFile="requirements.txt"),
            "requirements.txt of the archive is not installed",
            id="a module that it asks for",
        ),
        pytest.param("raise RuntimeError('no licence')\n", None, "RuntimeError: no licence$", id="it raises"),
        pytest.param("import sys; sys.exit(3)\n", None, "SystemExit: 3$", id="it exits"),
        pytest.param("def handle(:\n", None, r"SyntaxError: .*line 1", id="no Python"),
        pytest.param("", manifest("text_classifier"), "text_classifier of TorchServe is not offered", id="not ours"),
        pytest.param("", manifest("other.py"), "no other.py in the archive, nor is it base_handler", id="not there"),
    ],
)
def test_what_cannot_be_opened_says_why(made: Any, source: str, said: str | None, says: str) -> None:
    """In the words of its own code, and nothing of it stays."""
    with pytest.raises(LoadError, match=says) as caught:
        made(source, said)
    assert caught.value.stage == "open"
    assert "handler" not in sys.modules


def test_a_handler_does_not_take_the_name_of_a_module_that_others_need(made: Any, tmp_path: Path) -> None:
    """Were it called json, nobody would have JSON any more."""
    path = packed(tmp_path / "m.mar", {"json.py": "def handle(d, c): return d\n"}, manifest("json"))
    import json

    with pytest.raises(LoadError, match="json is another module here: rename it"):
        opened(path)
    assert sys.modules["json"] is json


def test_archives_whose_modules_have_the_same_names_do_not_mix(made: Any) -> None:
    """Nearly all are handler.py, and many have a model.py beside it."""
    source = "import words\n" + function("return [words.WORD]")
    first, second = (made(source, words__py=f"WORD = '{word}'\n") for word in ("one", "two"))
    assert (first.predict([{}]), second.predict([{}])) == (["one"], ["two"])
    first.close()
    assert second.predict([{}]) == ["two"]


def test_one_request_at_a_time_is_in_a_handler(made: Any) -> None:
    """It keeps what is a request's in itself: in TorchServe each worker is a process."""
    lines = (
        "global inside",
        "inside += 1",
        "time.sleep(0.01)",
        "most.append(inside)",
        "inside -= 1",
        "return [max(most)]",
    )
    source = function("\n    ".join(lines))
    model = made("import time\ninside, most = 0, []\n" + source)
    threads = [threading.Thread(target=model.predict, args=([{}],)) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert model.predict([{}]) == [1]


def test_instances_come_as_kserves_envelope_gives_them(made: Any) -> None:
    """Each of them a row as it is; octets in the answers are texts."""
    model = made(function("return [str(each).encode() for each in data]"))
    assert model.predict([{"data": "x"}, [1, 2]]) == ["{'data': 'x'}", "[1, 2]"]


def test_inputs_of_v2_come_as_rows(made: Any) -> None:
    """One for each, with name, shape, datatype and flat data; each has an output."""
    model = made(function("return [[str(each)] for each in data]"))
    inputs = [Tensor("a", np.array([[1, 2]])), Tensor("b", np.array([b"x"], object))]
    first, second = model.infer(inputs)
    assert (first.name, first.array.tolist()) == (
        "predict-0",
        ["{'name': 'a', 'shape': [1, 2], 'datatype': 'INT64', 'data': [1, 2]}"],
    )
    assert second.array.tolist() == ["{'name': 'b', 'shape': [1], 'datatype': 'BYTES', 'data': ['x']}"]


@pytest.mark.parametrize(
    ("value", "datatype", "shape", "data"),
    [
        pytest.param("[[1.5, 2]]", "FP64", (1, 2), [[1.5, 2.0]], id="numbers"),
        pytest.param("['a', 'b']", "BYTES", (2,), ["a", "b"], id="texts"),
        pytest.param("{'a': 1}", "BYTES", (1,), ['{"a":1}'], id="an object"),
        pytest.param("[[1], [2, 3]]", "BYTES", (2,), ["[1]", "[2,3]"], id="ragged"),
    ],
)
def test_outputs_of_v2_are_what_numpy_makes_of_them(
    made: Any, value: str, datatype: str, shape: tuple[int, ...], data: list[Any]
) -> None:
    """And JSON where it makes nothing of them."""
    (output,) = made(function(f"return [{value}]")).infer([Tensor("x", np.zeros(1))])
    assert (output.name, output.datatype, output.shape, output.array.tolist()) == ("predict", datatype, shape, data)


def test_a_refusal_is_the_clients_fault_by_v1_and_v2(made: Any) -> None:
    """Whether it is raised or set as the answer's status; other failures are the model's."""
    source = "from ts.utils.util import PredictionException\n"
    raising = made(source + function("raise PredictionException('too dark', 400)"))
    setting = made(function("context.set_all_response_status(413, 'too large'); return ['x']"))
    failing = made(function("context.set_response_status(500, 'broken', 0); return ['x']"))
    with pytest.raises(InvalidInputError, match=r"instances: .*too dark"):
        raising.predict([{}])
    with pytest.raises(InvalidInputError, match=r"inputs: .*too large"):
        setting.infer([Tensor("x", np.zeros(1))])
    with pytest.raises(HandlerError, match="broken"):
        failing.predict([{}])


def test_explanations_are_asked_for_by_a_header(made: Any) -> None:
    """As TorchServe does it; a function may look at it."""
    model = made(function("return [context.get_request_header(0, 'explain')]"))
    assert model.explains
    assert (model.explain([{}]), model.predict([{}])) == (["True"], [None])


def test_what_handlers_import_of_torchserve_is_there(made: Any) -> None:
    """Metrics are counted; labels are read; a part of an answer is sent before it."""
    source = """
from ts.context import Context
from ts.handler_utils.timer import timed
from ts.handler_utils.utils import send_intermediate_predict_response
from ts.metrics.dimension import Dimension
from ts.metrics.metric_type_enum import MetricTypes
from ts.protocol.otf_message_handler import send_intermediate_predict_response as earlier
from ts.torch_handler.base_handler import BaseHandler
from ts.torch_handler.image_classifier import ImageClassifier
from ts.torch_handler.vision_handler import VisionHandler
import ts.utils.util

assert earlier is send_intermediate_predict_response and issubclass(ImageClassifier, VisionHandler)

class Handler(BaseHandler):
    def initialize(self, context):
        assert isinstance(context, Context)
        self.mapping = ts.utils.util.load_label_mapping(context.system_properties["model_dir"] + "/labels.json")

    @timed
    def handle(self, data, context):
        context.metrics.add_counter("seen", 1, 0, [Dimension("a", "b")])
        context.metrics.add_time("took", 1.5)
        context.metrics.get_metric("own", MetricTypes.GAUGE).add_or_update(3, ["b"])
        send_intermediate_predict_response(["a"], context.request_ids, "Intermediate", 200, context)
        earlier(["b"], context.request_ids, "Intermediate", 200, context)
        return ["c " + str(ts.utils.util.map_class_to_label([[0.5, 0.25]], self.mapping)[0])]
"""
    model = made(source, labels__json='{"0": "cat", "1": ["n01", "dog"]}')
    assert asked(model).body == b"abc {'cat': 0.5, 'dog': 0.25}"
    assert model._context.metrics.seen == {"seen": 1, "took": 1, "own": 1}
