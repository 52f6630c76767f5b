"""TorchServe's inference API: ping, predictions, explanations, for archives of its own and for any other model."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from predictor.calls import Computing, Explain, Handle, Predict
from predictor.endpoints import exceptions
from predictor.endpoints.answers import json
from predictor.endpoints.body import Octets
from predictor.endpoints.inference import GONE, Inference, told
from predictor.endpoints.reply import Reply
from predictor.loading.held import Held
from predictor.model import HandlerAnswer, HandlerError, HandlerRequest
from predictor.models import Models
from predictor.served import Served
from torpor.errors import InvalidInputError, TorporError, UnsupportedError
from torpor.protocol import multipart, v1
from torpor.protocol.document import brief

BODY = "body"
"""What handlers call a body that has no parts."""
_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"
_KEY = "p"


class TorchServe:
    """The endpoints; TorchServe's management API is predictor/endpoints/management.py's."""

    def __init__(self, models: Models, inference: Inference) -> None:
        self._models = models
        self._inference = inference

    def routes(self) -> list[BaseRoute]:
        found: list[BaseRoute] = [Route("/ping", self._ping)]
        for verb, endpoint in (("predictions", self._predict), ("explanations", self._explain)):
            for path in (f"/{verb}/{{model:model}}", f"/{verb}/{{model:model}}/{{version}}"):
                # GET, too: a handler may need no more than the query.
                found += [Route(path, endpoint, methods=["GET", "POST", "PUT"])]
        return found

    async def _ping(self, request: Request) -> Response:
        del request
        if self._models.is_ready:
            return json({"status": "Healthy"})
        return json({"status": "Unhealthy"}, 500)

    async def _predict(self, request: Request) -> Response | Reply:
        return await self._answered(request, explain=False)

    async def _explain(self, request: Request) -> Response | Reply:
        return await self._answered(request, explain=True)

    async def _answered(self, request: Request, *, explain: bool) -> Response | Reply:
        self._find_version(request)
        call = _Call(request, explain=explain)
        if await self._sends_parts(request):
            return await self._streamed(request, call)
        response = await self._inference.answer(request, "torchserve", call.compute)
        return call.told(response) if isinstance(response, Response) else response

    async def _streamed(self, request: Request, call: _Call) -> Response:
        steps = self._inference.steps(request, "torchserve", call.begin)
        # What fails before the first part is an error as any other; after it, the answer has no end, which clients see.
        try:
            first = await anext(steps)
        except ClientDisconnect:
            return Response(status_code=GONE)
        except Exception as error:
            return call.told(told(f"{request.method} {request.url.path}", error))

        async def chunks() -> AsyncIterator[bytes]:
            async with contextlib.aclosing(steps):
                yield first
                async for step in steps:
                    yield step

        assert call.head is not None  # noqa: S101  # there was a first part
        head = call.head
        return StreamingResponse(chunks(), head.status, {"Content-Type": head.media_type, **dict(head.headers)})

    async def _sends_parts(self, request: Request) -> bool:
        path = request.path_params
        with contextlib.suppress(TorporError):  # told when it is asked
            served = self._models.find(path["model"], path.get("version"))
            await served.present()
            return served.require().sends_parts is not None
        return False

    def _find_version(self, request: Request) -> None:
        """Let the version in the path be the archive's own, too: that of a pod's first model is its place in a list."""
        path = request.path_params
        if "version" not in path or path["model"] not in self._models.names():
            return
        for each in self._models.versions(path["model"]):
            if each.version != path["version"] and each.own_version == path["version"]:
                path["version"] = each.version
                return


class _Call:
    """One request, and what a handler has said of its failure."""

    def __init__(self, request: Request, *, explain: bool) -> None:
        self._headers = dict(request.headers)
        self._query = request.url.query
        self._has_version = "version" in request.path_params
        self._explain = explain
        self._failure: HandlerError | None = None
        self.head: HandlerAnswer | None = None
        """Of an answer in parts the first, once it is there."""

    def compute(self, served: Served, held: Held, body: Octets) -> Computing[Reply]:
        if held.handles is None:
            return (yield from self._by_v1(served, held, body))
        request = self._request(served, held, body)
        with self._failing(body):
            answer = yield Handle(request, explain=self._explain)
        headers = tuple((name.lower().encode(), value.encode()) for name, value in answer.headers)
        return Reply((answer.body,), answer.media_type.encode(), headers, answer.status)

    def begin(self, served: Served, held: Held, body: Octets) -> Iterator[bytes]:
        """Compute an answer bit by bit."""
        assert held.sends_parts is not None  # noqa: S101  # who calls has asked
        request = self._request(served, held, body)
        with (
            self._failing(body),
            contextlib.closing(held.sends_parts.handle_in_parts(request, explain=self._explain)) as found,
        ):
            for each in found:
                self.head = self.head or each
                yield each.body

    def _request(self, served: Served, held: Held, body: Octets) -> HandlerRequest:
        if self._explain and held.explains is None:
            raise _no_explanations(served)
        return HandlerRequest(
            parts(self._headers.get("content-type", ""), self._query, body),
            self._headers,
            self._headers.get("x-request-id") or str(uuid.uuid4()),
        )

    @contextlib.contextmanager
    def _failing(self, body: Octets) -> Iterator[None]:
        """Keep what a handler says of its failure; one that is the client's fault is not for the log."""
        try:
            yield
        except HandlerError as error:
            self._failure = error
            if 400 <= error.status < 500:
                raise InvalidInputError(BODY, f"{len(body)} bytes", str(error)) from error
            raise

    def told(self, response: Response) -> Response:
        """Return a refusal as TorchServe words it."""
        if response.status_code < 400 or not response.body:
            return response
        status, kind = response.status_code, None
        if self._failure is not None:
            status, kind = self._failure.status, exceptions.INTERNAL
            message = str(self._failure)
        else:
            message = orjson.loads(response.body)["error"]
            kind = exceptions.VERSION if status == 404 and self._has_version else None
        response.status_code = status
        response.body = orjson.dumps(exceptions.document(status, message, kind))
        response.headers["Content-Length"] = str(len(response.body))
        return response

    def _by_v1(self, served: Served, held: Held, body: Octets) -> Computing[Reply]:
        """Ask a model that is no archive: a list is its instances, an object V1's or else one instance."""
        if self._explain and held.explains is None:
            raise _no_explanations(served)
        document = _json(BODY, bytes(body))
        is_v1 = isinstance(document, dict) and bool({"instances", "inputs"} & document.keys())
        if is_v1:
            request = v1.read(document)
        else:
            request = v1.PredictRequest(document if isinstance(document, list) else [document])
        if not request.instances:
            raise InvalidInputError(BODY, brief(document), "use a list of at least one instance")
        call = Explain(request.instances) if self._explain else Predict(request.instances, request.parameters)
        found: Any = yield call
        if is_v1:
            return Reply((v1.encode(found, "explanations" if self._explain else "predictions"),))
        # Without V1's object around it, and written by what knows how.
        encoded = v1.encode(found if isinstance(document, list) else found[0], _KEY)
        return Reply((encoded[len(f'{{"{_KEY}":') : -1],))


def parts(content_type: str, query: str, body: Octets) -> Mapping[str, Any]:
    """Return a request's inputs by name, as handlers know them: JSON as it is, texts as texts, all else as octets.

    Raises InvalidInputError. Of two inputs of one name the later counts, as in TorchServe.
    """
    found: dict[str, Any] = {name: bytearray(value.encode()) for name, value in _fields(query)}
    media_type = _media_type(content_type)
    if media_type == multipart.MEDIA_TYPE:
        for each in multipart.decode(bytes(body), multipart.boundary(content_type)):
            found[each.name] = _value(each.name, each.content_type, each.content)
    elif media_type == _FORM:
        text = bytes(body).decode("utf-8", "replace")
        found.update((name, bytearray(value.encode())) for name, value in _fields(text))
    elif body or not found:
        found[BODY] = _value(BODY, content_type, body)
    return found


def _value(name: str, content_type: str, content: Octets) -> Any:
    media_type = _media_type(content_type)
    if media_type == _JSON:
        return _json(name, bytes(content))
    if media_type.startswith("text/"):
        return bytes(content).decode("utf-8", "replace")
    return bytearray(content)


def _json(name: str, content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise InvalidInputError(name, brief(content[:120]), f"JSON is needed: {error}") from error


def _fields(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=multipart.MOST_PARTS)
    except ValueError as error:
        raise InvalidInputError(BODY, brief(text), f"at most {multipart.MOST_PARTS} fields are taken") from error


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _no_explanations(served: Served) -> UnsupportedError:
    return UnsupportedError(f"model {served.name!r} offers no explanations; use /predictions")
