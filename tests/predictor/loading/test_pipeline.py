"""Loads from beginning to end: what is told, what is tried again, what is left behind."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from predictor.loading.pipeline import Patience, load
from predictor.loading.progress import Progress
from predictor.loading.source import Source
from predictor.storage.settings import S3Settings, StorageSettings
from tests.predictor.storage.faulty import FaultyNetwork, faulty_network
from tests.support.models import save_iris, save_python_model
from tests.support.ports import free_ports
from tests.support.s3 import S3
from tests.support.until import until
from torpor.aio.backoff import Backoff
from torpor.aio.clock import SystemClock
from torpor.errors import LoadError

pytestmark = pytest.mark.slow

STAGES = ["resolve", "fetch", "verify", "open", "warm"]
QUICK = Patience(limit_s=20, backoff=Backoff(first_s=0.01, limit_s=0.05))
SOURCE = "class Model:\n    def predict(self, instances):\n        return [each + 1 for each in instances]\n"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """A model's modules are modules of the process."""
    yield
    sys.modules.pop("model", None)


@pytest.fixture(scope="module")
def bucket(s3: S3, tmp_path_factory: pytest.TempPathFactory) -> S3:
    """With a Python model that has something to carry."""
    folder = save_python_model(tmp_path_factory.mktemp("plus-one"), SOURCE)
    (folder / "weights").write_bytes(bytes(3_000_000))
    s3.create_bucket("loads")
    s3.upload(folder, "loads", "plus-one")
    return s3


@pytest.fixture
def network(bucket: S3) -> Iterator[FaultyNetwork]:
    with faulty_network(bucket.url) as network:
        yield network


class Load:
    """One load and what it tells."""

    def __init__(self, folder: Path, format_: str, uri: str, url: str = "", **changes: Any) -> None:
        self.folder = folder / "pod"
        self.folder.mkdir()
        storage = StorageSettings(S3Settings(endpoint_url=url, access_key="a", secret_key="b"), folder)
        self.source = Source("model", format_, uri, self.folder, storage=storage, **changes)
        self.clock = SystemClock()
        self.progress = Progress(self.clock)

    async def run(self, patience: Patience = QUICK) -> Any:
        return await load(self.source, self.progress, self.clock, patience=patience)

    @property
    def stages(self) -> list[str]:
        return [each["name"] for each in self.progress.snapshot()["stages"]]

    @property
    def left(self) -> list[Path]:
        """Return what is in the pod's folder."""
        return list(self.folder.iterdir())


async def test_a_model_that_lies_here_is_used_in_place(tmp_path: Path) -> None:
    """Five stages, nothing copied."""
    save_python_model(tmp_path / "claim", SOURCE)
    pod = Load(tmp_path, "python", "pvc://claim")
    held = await pod.run()
    assert held.model.predict([1]) == [2]
    snapshot = pod.progress.snapshot()
    assert (snapshot["state"], snapshot["bytes_done"], snapshot["bytes_total"]) == ("ready", 0, 0)
    assert pod.stages == STAGES
    assert all(each["seconds"] is not None for each in snapshot["stages"])
    assert pod.left == []
    held.close()
    assert (tmp_path / "claim" / "model.py").exists()


async def test_a_model_from_s3_is_fetched_and_removed_when_it_is_closed(bucket: S3, tmp_path: Path) -> None:
    """A class may read its files for as long as it is open."""
    pod = Load(tmp_path, "python", "s3://loads/plus-one", bucket.url)
    held = await pod.run()
    assert held.model.predict([1]) == [2]
    (folder,) = pod.left
    assert (folder / "weights").stat().st_size == 3_000_000
    snapshot = pod.progress.snapshot()
    assert snapshot["bytes_done"] == snapshot["bytes_total"] == 3_000_000 + len(SOURCE)
    assert snapshot["stages"][1]["bytes"] == snapshot["bytes_done"]
    held.close()
    assert pod.left == []


async def test_files_that_were_only_read_are_gone_once_the_model_is_warm(bucket: S3, tmp_path: Path) -> None:
    """Then a pod that is killed leaves nothing on the disk."""
    bucket.upload(save_iris(tmp_path / "iris"), "loads", "iris")
    pod = Load(tmp_path, "sklearn", "s3://loads/iris", bucket.url)
    held = await pod.run()
    assert pod.left == []
    assert held.model.predict([[5.1, 3.5, 1.4, 0.2]]) == [0]
    held.close()


async def test_what_fails_for_now_is_tried_again(network: FaultyNetwork, tmp_path: Path) -> None:
    """A store that comes up later than the pod, a connection that breaks: the load is longer, not lost."""
    network.faults.refusals, network.faults.cuts, network.faults.after = 5, 3, 1_000_000
    pod = Load(tmp_path, "python", "s3://loads/plus-one", network.url)
    held = await pod.run()
    assert network.faults.happened == 8
    assert held.model.predict([1]) == [2]
    snapshot = pod.progress.snapshot()
    assert snapshot["bytes_done"] == snapshot["bytes_total"]
    assert pod.stages == STAGES
    held.close()


async def test_patience_ends(tmp_path: Path) -> None:
    """The message says how often and how long it was tried."""
    (port,) = free_ports(1)
    pod = Load(tmp_path, "python", "s3://loads/plus-one", f"http://127.0.0.1:{port}")
    with pytest.raises(
        LoadError, match=rf"endpoint http://127.0.0.1:{port} cannot be reached.*tried \d+ times"
    ) as caught:
        await pod.run(Patience(limit_s=0.3, backoff=Backoff(first_s=0.01, limit_s=0.1)))
    assert (caught.value.stage, caught.value.retryable) == ("resolve", True)
    assert pod.progress.state == "failed"


async def test_a_load_that_is_cancelled_leaves_nothing_behind(network: FaultyNetwork, tmp_path: Path) -> None:
    """Also in the middle of a fetch from a server that has fallen silent; it is neither ready nor failed."""
    pod = Load(tmp_path, "python", "s3://loads/plus-one", network.url)
    network.faults.silent, network.faults.after = True, 1_000_000
    task = asyncio.create_task(pod.run())
    await until(network.faults.went_silent.is_set, 10)
    assert len(pod.left) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pod.left == []
    assert pod.progress.state == "loading"


RAISES = (
    "class Model:\n    def load(self):\n        raise RuntimeError('no licence found')\n    def predict(self, i): ...\n"
)


@pytest.mark.parametrize(
    ("format_", "uri", "stage", "says"),
    [
        pytest.param("pmml", "pvc://claim", "resolve", "'pmml' is not served here", id="unknown-format"),
        pytest.param("python", "gs://x/y", "resolve", "use one of file://", id="unknown-scheme"),
        pytest.param("python", "pvc://absent", "resolve", "absent does not exist", id="no-folder"),
        pytest.param("huggingface", "pvc://claim", "resolve", "no config.json", id="another-kind-of-model"),
        pytest.param("sklearn", "pvc://claim/pickled", "resolve", "torpor.dev/allow-pickle", id="pickle"),
        pytest.param("python", "pvc://claim/broken", "verify", "Python that can be compiled", id="no-python"),
        pytest.param("python", "pvc://claim/raising", "open", "RuntimeError: no licence found", id="load-that-raises"),
    ],
)
async def test_what_fails_for_good_is_told_with_its_stage(
    tmp_path: Path, format_: str, uri: str, stage: str, says: str
) -> None:
    """To who called, and to who watches."""
    save_python_model(tmp_path / "claim", SOURCE)
    save_python_model(tmp_path / "claim/broken", "class Model(:")
    save_python_model(tmp_path / "claim/raising", RAISES)
    (tmp_path / "claim/pickled").mkdir()
    (tmp_path / "claim/pickled/model.pkl").write_bytes(b"")
    pod = Load(tmp_path, format_, uri)
    with pytest.raises(LoadError, match=says) as caught:
        await pod.run()
    assert (caught.value.stage, caught.value.retryable) == (stage, False)
    error = pod.progress.snapshot()["error"]
    assert error == {"stage": stage, "message": str(caught.value)}
    assert pod.stages[-1] == stage
    assert gc.isenabled()


async def test_a_model_that_fails_after_its_fetch_leaves_nothing_behind(bucket: S3, tmp_path: Path) -> None:
    """Its files are gone before the pod is."""
    bucket.upload(save_python_model(tmp_path / "raising", RAISES), "loads", "raising")
    pod = Load(tmp_path, "python", "s3://loads/raising", bucket.url)
    with pytest.raises(LoadError, match="no licence found"):
        await pod.run()
    assert pod.left == []


async def test_a_disk_that_is_too_small_is_known_before_the_fetch(
    bucket: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With both numbers."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1_000_000}))
    pod = Load(tmp_path, "python", "s3://loads/plus-one", bucket.url)
    with pytest.raises(LoadError, match=r"needs 3 MB in .*, and 1 MB are free.*TORPOR_MODEL_DIR") as caught:
        await pod.run()
    assert caught.value.stage == "fetch"
    assert pod.left == []


async def test_a_folder_that_is_missing_is_told_at_the_fetch(bucket: S3, tmp_path: Path) -> None:
    """By name."""
    pod = Load(tmp_path, "python", "s3://loads/plus-one", bucket.url)
    pod.folder.rmdir()
    with pytest.raises(LoadError, match=f"{pod.folder}/torpor-model-.*does not exist") as caught:
        await pod.run()
    assert caught.value.stage == "fetch"
