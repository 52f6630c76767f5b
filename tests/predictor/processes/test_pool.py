"""Real models that crash, hang, leak and babble: each loses its own requests, and nothing else."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from predictor.processes.errors import ForeignError
from predictor.processes.line import MOST_CRASHES
from tests.predictor.processes.models import opened, pool_of, runs, save_ill
from tests.support.models import save_python_model
from tests.support.until import until
from torpor.errors import DeadlineError, InvalidInputError, LoadError, ModelError, UnavailableError
from torpor.protocol.tensors import Tensor

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_ill(tmp_path_factory.mktemp("ill"))


@pytest.fixture(scope="module")
def lasting(folder: Path) -> Iterator[Any]:
    """One for all tests that its model survives, and those that it does not."""
    with opened(folder) as model:
        yield model


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("exit", "model 'ill': its process ended with status 3, and this request with it; it is started again"),
        ("segfault", "was ended by SIGSEGV"),
        ("kill", "was killed .SIGKILL., perhaps for want of memory"),
        ("close", "it had closed its connection"),
        ("garble", "sent what is no answer"),
        ("helper", "ended with status 5"),
    ],
)
def test_a_crash_names_the_model_and_how_and_is_over(lasting: Any, how: str, says: str) -> None:
    before = lasting.restarts.get("crash", 0)
    with pytest.raises(UnavailableError, match=says) as caught:
        lasting.predict([how])
    assert caught.value.retry_after_s
    assert lasting.predict(["well"]) == [["well", {}]]
    assert lasting.restarts["crash"] == before + 1


@pytest.mark.parametrize(
    ("how", "kind", "says"),
    [
        ("sys.exit", ModelError, "predict of model.py raised SystemExit"),
        ("short", ModelError, "returned 0 predictions for 1 instances"),
        ("value", InvalidInputError, r"instances: \['value'\] is not allowed; not like this"),
        ("unknown", ModelError, "raised ZeroDivisionError; the pod's log says more"),
        ("object", ForeignError, "TypeError"),
    ],
)
def test_an_error_is_what_it_is_and_costs_no_process(lasting: Any, how: str, kind: type[Exception], says: str) -> None:
    (pid,) = lasting.predict(["pid"])
    with pytest.raises(kind, match=says):
        lasting.predict([how])
    assert lasting.predict(["pid"]) == [pid]


def test_what_it_prints_is_no_answer_and_what_it_logs_comes_out(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with opened(folder) as model:  # it writes to where its server did when it was started
        assert model.predict(["print"]) == [["print", {}]]
    out, log = capfd.readouterr()
    assert out.count("garbage ") > 10_000
    assert '"level":"warning","logger":"model","message":"a word of the model"' in log


def test_a_leak_is_not_the_servers_and_goes_with_the_process(folder: Path) -> None:
    own = psutil.Process()
    before = own.memory_info().rss
    with opened(folder) as model:
        (pid,) = model.pids()
        for _ in range(20):
            model.predict(["leak"])
        assert psutil.Process(pid).memory_info().rss > 100_000_000
        assert own.memory_info().rss - before < 20_000_000
    assert not runs(pid)


def test_what_it_has_started_ends_with_it(folder: Path) -> None:
    with opened(folder) as model:
        (helper,) = model.predict(["fork"])
        with pytest.raises(UnavailableError):
            model.predict(["exit"])
        wait_for(lambda: not runs(helper) or psutil.Process(helper).status() == psutil.STATUS_ZOMBIE)


def test_a_call_over_the_limit_ends_the_process_and_says_so(folder: Path) -> None:
    with opened(folder, limit_s=0.5) as model:
        began_s = time.monotonic()
        with pytest.raises(DeadlineError, match=r"model 'ill' took longer than 0\.5 s, the limit of a call"):
            model.predict(["hang"])
        assert 0.5 <= time.monotonic() - began_s < 2
        assert model.predict(["well"]) == [["well", {}]]
        assert model.restarts == {"timeout": 1}


def test_while_one_hangs_the_others_answer(folder: Path) -> None:
    with opened(folder, count=2, limit_s=3) as model, ThreadPoolExecutor(1) as hanging:
        late = hanging.submit(model.predict, ["hang"])
        for _ in range(50):
            assert model.predict(["well"]) == [["well", {}]]
        assert not late.done()
        assert isinstance(late.exception(), DeadlineError)


def test_several_compute_at_once_and_the_rest_waits(folder: Path) -> None:
    with opened(folder, count=3) as model, ThreadPoolExecutor(6) as threads:
        began_s = time.monotonic()
        list(threads.map(model.predict, [[{"sleep": 0.5}]] * 6))
        assert 1.0 <= time.monotonic() - began_s < 1.45


def test_kill_of_one_under_load_loses_its_own_request_alone(folder: Path) -> None:
    with opened(folder, count=3) as model, ThreadPoolExecutor(6) as threads:
        answers = [threads.submit(model.predict, [{"sleep": 0.01}, number]) for number in range(300)]
        kills = 0
        for number in (60, 120, 180):
            answers[number].exception()
            os.kill(random.choice(model.pids()), signal.SIGKILL)
            kills += 1
        lost = 0
        for number, answer in enumerate(answers):
            if isinstance(answer.exception(), UnavailableError):
                lost += 1
            else:
                assert answer.result() == [[{"sleep": 0.01}, {}], [number, {}]]
        assert lost <= kills
        assert sum(model.restarts.values()) == kills


async def test_after_too_many_crashes_it_says_so_and_recovers(tmp_path: Path) -> None:
    folder = save_ill(tmp_path)
    with opened(folder) as model:
        (folder / "broken").touch()
        with pytest.raises(UnavailableError):
            model.predict(["exit"])
        await until(lambda: model.trouble)
        assert model.processes == 0
        with pytest.raises(UnavailableError, match=r"model 'ill': \d+ ends in a row .* ended with status 9"):
            model.predict(["well"])
        (folder / "broken").unlink()
        await until(lambda: not model.trouble)
        assert model.predict(["well"]) == [["well", {}]]


def test_a_start_that_takes_too_long_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save_ill(tmp_path)
    with opened(folder) as model:
        monkeypatch.setattr(model._pool, "_start_limit_s", 0.7)
        (folder / "stuck").touch()
        with pytest.raises(UnavailableError):
            model.predict(["exit"])
        wait_for(lambda: model.restarts.get("start", 0) >= 1)
        (folder / "stuck").unlink()
        assert model.predict(["well"]) == [["well", {}]]


async def test_who_waits_when_too_many_have_crashed_is_told(tmp_path: Path) -> None:
    folder = save_ill(tmp_path)
    with opened(folder) as model, ThreadPoolExecutor(2) as threads:
        (folder / "broken").touch()
        told = [threads.submit(model.predict, [each]) for each in ("exit", "well")]
        assert all(isinstance(each.exception(), UnavailableError) for each in told)
    assert MOST_CRASHES > 1


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import os\nos._exit(7)", "its process ended with status 7"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        ("import sys\nsys.exit(1)", "SystemExit: 1"),
        ("import nothing_of_that_name", "ModuleNotFoundError"),
        ("x = 1", "has no `class Model`"),
        ("class Model:\n def load(self): raise MemoryError()\n def predict(self, x): pass", "MemoryError"),
    ],
)
def test_what_cannot_be_opened_is_a_load_error(tmp_path: Path, source: str, says: str) -> None:
    pool = pool_of(save_python_model(tmp_path, source), count=2)
    with pytest.raises(LoadError, match=says) as caught:
        pool.start()
    assert caught.value.stage == "open"
    assert pool.pids() == []


def test_a_start_that_is_not_wanted_any_more_ends(tmp_path: Path) -> None:
    source = "import time\nclass Model:\n def load(self): time.sleep(60)\n def predict(self, x): return x"
    pool = pool_of(save_python_model(tmp_path, source), count=2)
    threading.Timer(0.5, pool.stop).start()
    with pytest.raises(LoadError):
        pool.start()
    assert pool.pids() == []


def test_a_model_that_holds_on_to_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("predictor.processes.pool.GRACE_S", 0.3)
    source = (
        "import signal\nclass Model:\n"
        " def load(self): signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        " def predict(self, x): return x"
    )
    with opened(save_python_model(tmp_path, source)) as model:
        assert model.predict([1]) == [1]


def test_the_processes_share_the_cpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("predictor.runtimes.cpus.available", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    source = "import os\nclass Model:\n def predict(self, x): return [os.environ['OMP_NUM_THREADS'] for _ in x]"
    with opened(save_python_model(tmp_path, source), count=2) as model:
        assert model.predict([1]) == ["4"]


def test_closed_it_answers_no_more(folder: Path) -> None:
    with opened(folder) as model:
        pids = model.pids()
    assert not any(map(runs, pids))
    with pytest.raises(UnavailableError, match="it is closed"):
        model.predict([1])


def steps(model: Any, **parameters: Any) -> Iterator[int]:
    for (tensor,) in model.stream([Tensor("x", np.zeros(1))], parameters):
        yield int(tensor.array[0])


def test_a_stream_gives_all(lasting: Any) -> None:
    assert list(steps(lasting, count=100)) == list(range(100))


def test_a_stream_that_is_left_is_closed_and_the_process_stays(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with opened(folder) as model:
        (pid,) = model.predict(["pid"])
        found = model.stream([Tensor("x", np.zeros(1))], {"count": 10**12})
        for _ in range(3):
            next(found)
        found.close()
        assert model.predict(["pid"]) == [pid]
    assert "the stream was closed" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("parameters", "kind"),
    [({"dies": 2}, UnavailableError), ({"fails": 2}, InvalidInputError), ({"hangs": 2}, DeadlineError)],
)
def test_a_stream_that_breaks_says_why_after_what_it_gave(
    folder: Path, parameters: dict[str, int], kind: type[Exception]
) -> None:
    with opened(folder, limit_s=0.5) as model:
        given: list[int] = []
        with pytest.raises(kind):
            given.extend(steps(model, count=5, **parameters))
        assert list(steps(model)) == [0, 1, 2]


def test_a_stream_that_hangs_when_it_is_left_is_ended(folder: Path) -> None:
    with opened(folder, limit_s=0.5) as model:
        found = model.stream([Tensor("x", np.zeros(1))], {"hangs": 1})
        next(found)
        found.close()
        assert list(steps(model)) == [0, 1, 2]


def test_no_descriptor_is_lost(folder: Path) -> None:
    own = psutil.Process()
    with opened(folder) as model:
        before = own.num_fds()
        for how in ("exit", "kill", "exit"):
            with pytest.raises(UnavailableError):
                model.predict([how])
            model.predict(["well"])
        os.kill(model.pids()[0], signal.SIGKILL)
        wait_for(lambda: sum(model.restarts.values()) == 4 and model.processes == 1)
        assert own.num_fds() == before


def wait_for(condition: Callable[[], bool], limit_s: float = 10) -> None:
    until_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.005)
