"""TorchServe's management API: models that come and go beside the one that the pod was made for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from predictor.allowed import Allowed
from predictor.endpoints.management import Management
from predictor.loading.held import Held
from predictor.loading.pipeline import load
from predictor.loading.progress import Progress
from predictor.loading.source import Source
from predictor.models import Models
from predictor.repository import Repository
from predictor.served import Served
from tests.predictor.endpoints.pod import Doubler
from tests.support.models import save_python_model
from tests.support.until import until
from torpor.aio.clock import SystemClock

TOKEN = {"Authorization": "Bearer secret"}
PLUS = "class Model:\n    def predict(self, instances):\n        return [each + {} for each in instances]\n"


@dataclass(slots=True)
class Managed:
    """A server's models, how to manage them, and where they may come from."""

    http: httpx.AsyncClient
    models: Models
    folder: Path

    def url(self, name: str) -> str:
        return f"file://{self.folder}/allowed/{name}"

    async def register(self, name: str, **more: object) -> httpx.Response:
        params = {"url": self.url(name), "model_format": "python", "synchronous": "true"} | more
        return await self.http.post("/models", params={key: str(value) for key, value in params.items()})


@pytest_asyncio.fixture
async def managed(tmp_path: Path) -> AsyncIterator[Managed]:
    for number, name in enumerate(("one", "two", "three"), 1):
        save_python_model(tmp_path / "allowed" / name, PLUS.format(number))
    save_python_model(tmp_path / "elsewhere" / "four", PLUS.format(4))
    (tmp_path / "allowed" / "broken").mkdir()
    (tmp_path / "allowed" / "broken" / "model.py").write_text("raise ValueError('no')")
    clock = SystemClock()
    first = Served("m", Progress(clock))
    source = Source("m", "python", "file:///m", tmp_path)
    repository = Repository(Models(first), source, load, clock)
    first.hold(Held(Doubler()))
    management = Management(repository, source, Allowed((f"file://{tmp_path}/allowed",)))
    transport = httpx.ASGITransport(management.app("secret"))
    async with httpx.AsyncClient(transport=transport, base_url="http://manage", headers=TOKEN) as http:
        yield Managed(http, repository.models, tmp_path)
    await management.close()
    await repository.close()


async def test_from_registered_to_unregistered(managed: Managed) -> None:
    """Listed, described, scaled, asked, gone."""
    answer = await managed.register("one")
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": 'Model "one" Version: 1.0 registered with 1 workers'},
    )
    assert managed.models.require("one").model.predict([1]) == [2]
    assert (await managed.http.get("/models")).json() == {
        "models": [{"modelName": "m", "modelUrl": "file:///m"}, {"modelName": "one", "modelUrl": managed.url("one")}]
    }
    assert (await managed.http.put("/models/one", params={"min_worker": "2", "max_worker": "3"})).status_code == 200
    (described,) = (await managed.http.get("/models/one")).json()
    assert (described["modelVersion"], described["maxWorkers"], described["loadedAtStartup"]) == ("1.0", 3, False)
    assert [each["status"] for each in described["workers"]] == ["READY"] * 3
    assert (await managed.http.delete("/models/one")).json() == {"status": 'Model "one" unregistered'}
    answer = await managed.http.get("/models/one")
    assert (answer.status_code, answer.json()["type"]) == (404, "ModelNotFoundException")


async def test_registered_without_waiting(managed: Managed) -> None:
    """202, and it is there some time later, with as many workers as were asked for."""
    answer = await managed.register("two", synchronous="false", initial_workers=2, model_name="second")
    assert (answer.status_code, answer.json()) == (202, {"status": "Processing worker updates..."})
    await until(lambda: "second" in managed.models.names())
    assert managed.models.find("second").turns.limit == 2


async def test_pages_of_the_list(managed: Managed) -> None:
    """The token of one page gives the next; the last has none."""
    await managed.register("one")
    await managed.register("two")
    first = (await managed.http.get("/models", params={"limit": "2"})).json()
    assert [each["modelName"] for each in first["models"]] == ["m", "one"]
    last = (await managed.http.get("/models", params={"next_page_token": first["nextPageToken"]})).json()
    assert ([each["modelName"] for each in last["models"]], "nextPageToken" in last) == (["two"], False)


@pytest.mark.parametrize(
    ("method", "path", "status", "kind", "says"),
    [
        pytest.param("POST", "/models", 400, "BadRequestException", "url: ", id="no url"),
        pytest.param(
            "POST", "/models?url=file://{}/elsewhere/four", 403, "InvalidKeyException", "may not", id="elsewhere"
        ),
        pytest.param(
            "POST", "/models?url=file://{}/allowed/../elsewhere/four", 400, "BadRequestException", "url: ", id="by dots"
        ),
        pytest.param(
            "POST", "/models?url=file://{}/allowed/one", 400, "BadRequestException", "model_format", id="no format"
        ),
        pytest.param(
            "POST",
            "/models?url=file://{}/allowed/one&model_format=python&batch_size=8",
            400,
            "BadRequestException",
            "batch_size: '8' is not allowed; only 1 is offered",
            id="batches",
        ),
        pytest.param(
            "POST",
            "/models?url=file://{}/allowed/one&model_format=python&wait=1",
            400,
            "BadRequestException",
            "wait: '1' is not allowed; there is no such parameter",
            id="a parameter that is none",
        ),
        pytest.param(
            "POST",
            "/models?url=file://{}/allowed/broken&model_format=python&synchronous=true",
            503,
            "ServiceUnavailableException",
            "ValueError: no",
            id="a model that cannot be loaded",
        ),
        pytest.param(
            "POST",
            "/models?url=file://{}/allowed/one&model_format=python&synchronous=true&model_name=m&initial_workers=-1",
            400,
            "BadRequestException",
            "initial_workers: '-1'",
            id="workers below none",
        ),
        pytest.param(
            "PUT", "/models/m?min_worker=5&max_worker=2", 400, "BadRequestException", "min_worker: 5", id="bounds"
        ),
        pytest.param(
            "PUT", "/models/n?max_worker=2", 404, "ModelNotFoundException", "'n' is not here", id="scale what is not"
        ),
        pytest.param("GET", "/models/m/7", 404, "ModelNotFoundException", "no version '7'", id="a version that is not"),
        pytest.param(
            "PUT", "/models/m/7/set-default", 404, "ModelNotFoundException", "no version '7'", id="as default"
        ),
        pytest.param("DELETE", "/models/m", 409, "ConflictStatusException", "delete its service", id="the pod's own"),
        pytest.param("PATCH", "/models/m", 405, "MethodNotAllowedException", "Not Allowed", id="a method that is none"),
        pytest.param(
            "GET", "/metrics", 404, "ResourceNotFoundException", "nothing is served", id="a path that is none"
        ),
    ],
)
async def test_what_is_wrong_is_told(
    managed: Managed, method: str, path: str, status: int, kind: str, says: str
) -> None:
    """In TorchServe's form; nothing is registered, nothing is gone."""
    answer = await managed.http.request(method, path.format(managed.folder))
    assert (answer.status_code, answer.json()["code"], answer.json()["type"]) == (status, status, kind)
    assert says in answer.json()["message"]
    assert managed.models.names() == ["m"]


async def test_a_name_may_be_used_once(managed: Managed) -> None:
    """409; what is there stays."""
    await managed.register("one")
    answer = await managed.register("two", model_name="one")
    assert (answer.status_code, answer.json()["type"]) == (409, "ConflictStatusException")
    assert managed.models.require("one").model.predict([1]) == [2]


@pytest.mark.parametrize("token", [None, "", "Bearer", "Bearer Secret", "Basic secret", "Bearer secret "])
@pytest.mark.parametrize("path", ["/models", "/ping", "/anything", "/models/m"])
async def test_nobody_comes_in_without_the_token(managed: Managed, token: str | None, path: str) -> None:
    """Whatever the path: nothing is guarded by its prefix alone."""
    managed.http.headers.pop("Authorization")
    answer = await managed.http.get(path, headers={} if token is None else {"Authorization": token})
    assert (answer.status_code, answer.json()["type"]) == (401, "InvalidTokenException")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_workers_are_scaled_by_the_most(managed: Managed) -> None:
    """Or by the least, where that alone is given; to none at all too."""
    for params, limit in (({"max_worker": "0"}, 0), ({"min_worker": "2"}, 2), ({}, 1)):
        await managed.http.put("/models/m", params=params)
        assert managed.models.find("m").turns.limit == limit
