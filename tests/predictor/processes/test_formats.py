"""Models of frameworks, and TorchServe's handlers, in processes of their own."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from predictor.model import HandlerError, HandlerRequest
from predictor.processes.model import model_of
from predictor.processes.pool import Pool
from predictor.processes.process import Order
from predictor.runtimes.runtime import Files
from predictor.runtimes.sklearn import ScikitLearn
from tests.predictor.processes.models import QUICK, files
from tests.predictor.runtimes.mar.packing import packed
from tests.support.models import save_iris
from tests.support.until import until
from torpor.errors import UnavailableError
from torpor.protocol.tensors import Tensor

pytestmark = pytest.mark.slow

HANDLER = """
import os
from pathlib import Path

def handle(data, context):
    if data is None:
        return None
    if b"die" in [each.get("body") for each in data]:
        os._exit(3)
    if b"no" in [each.get("body") for each in data]:
        raise ValueError("no")
    context.set_response_content_type(0, "text/plain")
    return [str(type(each.get("body")).__name__) for each in data]
"""


def test_scikit_learn_answers_the_same(tmp_path: Path) -> None:
    folder = save_iris(tmp_path)
    here = ScikitLearn().open(files(folder))
    pool = Pool("iris", Order("sklearn", files(folder)), 1)
    apart: Any = model_of(pool, pool.start())
    try:
        rows = np.random.default_rng(3).random((20, 4)) * 8
        name = here.signature.inputs[0].name
        assert apart.signature == here.signature
        assert apart.predict(rows.tolist()) == here.predict(rows.tolist())
        ours, its = (model.infer([Tensor(name, rows)]) for model in (here, apart))
        assert [(each.name, each.array.tolist()) for each in its] == [(each.name, each.array.tolist()) for each in ours]
    finally:
        apart.close()
        here.close()


async def test_a_handler_is_asked_whole_requests_and_its_folder_goes_with_it(tmp_path: Path) -> None:
    archive = packed(tmp_path / "m.mar", {"handler.py": HANDLER})
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    order = Order("mar", Files(tmp_path, (archive.name,), allow_pickle=True, scratch=scratch))
    pool = Pool("m", order, 1, backoff=QUICK)
    model: Any = model_of(pool, pool.start())
    try:
        (answer,) = model.handle([request(b"x")])
        assert (answer.media_type.split(";")[0], answer.body, answer.status) == ("text/plain", b"bytearray", 200)
        with pytest.raises(HandlerError, match="Prediction failed"):
            model.handle([request(b"no")])
        (first,) = model.pids()
        with pytest.raises(UnavailableError, match="model 'm': its process ended with status 3"):
            model.handle([request(b"die")])
        await until(lambda: model.pids() not in ([], [first]) and model.processes == 1)
        os.kill(model.pids()[0], signal.SIGKILL)
        await until(lambda: model.restarts["crash"] == 2)
        assert model.handle([request(b"x")])[0].status == 200
        assert len(list(scratch.iterdir())) == 1
        assert not hasattr(model, "predict_with")
    finally:
        model.close()
    assert list(scratch.iterdir()) == []


def request(body: bytes) -> HandlerRequest:
    return HandlerRequest({"body": bytearray(body)}, {}, "1")
