"""The methods of `inference.GRPCInferenceService`: what is asked, from the models that there are."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from functools import partial

import torpor
from predictor.calls import Computing
from predictor.endpoints import description
from predictor.endpoints.inference import Inference
from predictor.endpoints.v2 import EXTENSIONS
from predictor.endpoints.v2compute import checked
from predictor.loading.held import Held
from predictor.repository import Repository
from predictor.served import Served
from predictor.settings import MODEL_CONTROL
from torpor.errors import ForbiddenError, NotFoundError, UnsupportedError
from torpor.protocol.grpc import codec
from torpor.protocol.grpc.codec import Request, Response
from torpor.protocol.grpc.messages import METHODS, Message, ModelInferResponse
from torpor.protocol.inference import InferRequest, select
from torpor.protocol.tensors import Tensor
from torpor.web.status import answer

log = logging.getLogger(__name__)

DETAILS_BYTES = 2000
"""Of an error's words: clients take 8 KiB of metadata, in which a byte may be three."""
FINAL = "triton_final_response"
"""A parameter of each answer of a stream to whoever asked for it by `triton_enable_empty_final_response`."""
WANTS_FINAL = "triton_enable_empty_final_response"


class Service:
    """Each method takes a request and returns a response, or raises what went wrong."""

    def __init__(self, repository: Repository, inference: Inference, *, is_controlled: bool) -> None:
        """`is_controlled`: whether models are loaded and unloaded by it too."""
        self._repository = repository
        self._models = repository.models
        self._inference = inference
        self._is_controlled = is_controlled

    async def server_live(self, request: Message) -> Message:
        del request
        return METHODS["ServerLive"].response(live=True)

    async def server_ready(self, request: Message) -> Message:
        del request
        return METHODS["ServerReady"].response(ready=self._models.is_ready)

    async def model_ready(self, request: Message) -> Message:
        served = self._models.find(request.name, request.version or None)
        return METHODS["ModelReady"].response(ready=served.answers)

    async def server_metadata(self, request: Message) -> Message:
        del request
        return METHODS["ServerMetadata"].response(name="torpor", version=torpor.__version__, extensions=EXTENSIONS)

    async def model_metadata(self, request: Message) -> Message:
        served = self._models.find(request.name, request.version or None)
        signature = await served.described()
        versions = [each.version for each in self._models.versions(served.name) if each.answers]
        return METHODS["ModelMetadata"].response(**description.metadata(served.name, versions, signature))

    async def model_config(self, request: Message) -> Message:
        served = self._models.find(request.name, request.version or None)
        signature = await served.described()
        found = description.configuration(served.name, signature, served.configuration)
        return METHODS["ModelConfig"].response(config=found)

    async def model_statistics(self, request: Message) -> Message:
        if not request.name:
            found: Sequence[Served] = list(self._models)
        elif request.version:
            found = [self._models.find(request.name, request.version)]
        else:
            found = self._models.versions(request.name)
        documents = [each.statistics.document(each.name, each.version) for each in found]
        for each in documents:
            del each["batch_stats"], each["memory_usage"]
        return METHODS["ModelStatistics"].response(model_stats=documents)

    async def repository_index(self, request: Message) -> Message:
        _check_repository(request.repository_name)
        return METHODS["RepositoryIndex"].response(
            models=[
                {"name": each.name, "version": each.version, "state": each.state, "reason": each.reason}
                for each in self._models
                if each.held is not None or not request.ready
            ]
        )

    async def repository_model_load(self, request: Message) -> Message:
        name = self._permitted(request)
        for each in request.parameters:
            # What a client uploads would be written to the server's disk (CVE-2023-31036).
            raise UnsupportedError(f"parameters.{each}: a model is loaded as it is stored; change it there")
        await self._repository.load(name)
        return METHODS["RepositoryModelLoad"].response(model_name=name, isLoaded=True)

    async def repository_model_unload(self, request: Message) -> Message:
        name = self._permitted(request)
        await self._repository.unload(name)
        return METHODS["RepositoryModelUnload"].response(model_name=name, isUnloaded=True)

    async def model_infer(self, request: Request) -> Response:
        served = self._models.find(request.message.model_name, request.message.model_version or None)
        if served.is_away:
            await served.present()
        with served.used() as held:
            return await self._inference.execution.run(
                served, held, partial(_infer, served, held, request), request.length
            )

    async def model_stream_infer(self, requests: AsyncIterator[bytes]) -> AsyncGenerator[Message, None]:
        """Answer each in its turn; an error is an answer, and the stream goes on. Raises what `requests` raises."""
        kind = METHODS["ModelStreamInfer"].response
        async for data in requests:
            with self._inference.counted("grpc") as outcome:
                id_ = ""
                try:
                    request = Request.read(data)
                    id_ = request.message.id
                    async with contextlib.aclosing(self._answers(request)) as answers:
                        async for response in answers:
                            yield kind(infer_response=response.whole())
                    outcome.status = 200
                except Exception as error:
                    told = answer(error)
                    outcome.status = told.status
                    if told.status == 500:
                        log.exception("ModelStreamInfer failed")
                    yield kind(error_message=details(told.message), infer_response=ModelInferResponse(id=id_))

    async def _answers(self, request: Request) -> AsyncGenerator[Response, None]:
        asked = request.message
        served = self._models.find(asked.model_name, asked.model_version or None)
        if served.is_away:
            await served.present()
        with served.used() as held:
            wants_final = codec.parameters(asked.parameters).get(WANTS_FINAL) is True
            if held.streams is None:
                response = await self._inference.execution.run(
                    served, held, partial(_infer, served, held, request), request.length
                )
                if wants_final:
                    response.message.parameters[FINAL].bool_param = True
                yield response
                return
            steps = self._inference.execution.run_steps(served, partial(_stream, served, held, request))
            async with contextlib.aclosing(steps) as given:
                async for response in given:
                    if wants_final:
                        response.message.parameters[FINAL].bool_param = False
                    yield response
            if wants_final:
                last = ModelInferResponse(model_name=served.name, model_version=served.version, id=asked.id)
                last.parameters[FINAL].bool_param = True
                yield Response(last)

    def _permitted(self, request: Message) -> str:
        # KServe's message has the model's name where Triton's has the repository's.
        name = str(request.model_name or request.repository_name)
        if request.model_name:
            _check_repository(request.repository_name)
        if not self._is_controlled:
            raise ForbiddenError(
                f"models are not loaded and unloaded by request; its owner sets {MODEL_CONTROL}=explicit"
            )
        return name


def details(words: str) -> str:
    """Return what a status or an answer may hold of them: they quote clients, whose texts have any length."""
    encoded = words.encode(errors="replace")  # a model's own words may hold halves of characters
    if len(encoded) <= DETAILS_BYTES:
        return encoded.decode()
    return f"{encoded[:DETAILS_BYTES].decode(errors='ignore')}…"


def _infer(served: Served, held: Held, request: Request) -> Computing[Response]:
    asked = codec.decode(request)
    outputs = yield checked(held, asked)
    return _encoded(served, held, asked, outputs)


def _stream(served: Served, held: Held, request: Request) -> Iterator[Response]:
    asked = codec.decode(request)
    assert held.streams is not None  # noqa: S101  # who calls has asked
    answers = held.streams.stream(asked.inputs, asked.parameters)
    try:
        for outputs in answers:
            yield _encoded(served, held, asked, outputs)
    finally:
        answers.close()


def _encoded(served: Served, held: Held, asked: InferRequest, outputs: Sequence[Tensor]) -> Response:
    return codec.encode(served.name, served.version, asked.id, select(asked, outputs, held.labels))


def _check_repository(name: str) -> None:
    if name:
        raise NotFoundError(f"there is no repository {name!r}; leave its name out")
