"""What a handler is told of its model and of the requests that it has: TorchServe's `Context`, as handlers use it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

SERVER = "torpor"


class RequestProcessor:
    """One request's headers, and what the handler says of its answer."""

    def __init__(self, request_header: Mapping[str, str]) -> None:
        self._headers = dict(request_header)
        # Names of headers know no case, and handlers write them as they like.
        self._folded = {name.lower(): value for name, value in self._headers.items()}
        self._status = 200
        self._phrase = ""
        self._answer: dict[str, str] = {}

    def get_request_property(self, key: str) -> str | None:
        return self._folded.get(key.lower())

    def get_request_properties(self) -> dict[str, str]:
        return self._headers

    def report_status(self, code: int, reason_phrase: str = "") -> None:
        self._status = code
        self._phrase = reason_phrase

    def get_response_status_code(self) -> int:
        return self._status

    def get_response_status_phrase(self) -> str:
        return self._phrase

    def add_response_property(self, key: str, value: str) -> None:
        self._answer[key] = value

    def get_response_headers(self) -> dict[str, str]:
        return self._answer

    def get_response_header(self, key: str) -> str | None:
        return self._answer.get(key)


class Context:
    """Fixed are the model's name, folder, manifest and configuration; the rest is that of the call in progress."""

    def __init__(
        self,
        model_name: str,
        model_dir: str,
        manifest: Mapping[str, Any],
        batch_size: int,
        gpu: int | None,
        mms_version: str,
        limit_max_image_pixels: bool = True,  # noqa: FBT001, FBT002  # handlers' own tests make one so
        metrics: Any = None,
    ) -> None:
        self.model_name = model_name
        self.manifest = manifest
        self.system_properties: dict[str, Any] = {
            "model_dir": model_dir,
            "gpu_id": gpu,
            "batch_size": batch_size,
            "server_name": SERVER,
            "server_version": mms_version,
            "limit_max_image_pixels": limit_max_image_pixels,
        }
        self.model_yaml_config: Mapping[str, Any] = {}
        self.metrics = metrics
        self.request_ids: dict[int, str] | None = None
        self.request_processor: list[RequestProcessor] = []
        self.cl_socket = None
        self.intermediate: Callable[[int, Any], None] | None = None
        """Takes a part of an answer before the answer is complete: the place of its request, and the part."""

    def get_request_id(self, idx: int = 0) -> str | None:
        return None if self.request_ids is None else self.request_ids.get(idx)

    def get_request_header(self, idx: int, key: str) -> str | None:
        return self.request_processor[idx].get_request_property(key)

    def get_all_request_header(self, idx: int) -> dict[str, str]:
        return self.request_processor[idx].get_request_properties()

    def set_response_content_type(self, idx: int, value: str) -> None:
        self.set_response_header(idx, "content-type", value)

    def get_response_content_type(self, idx: int) -> str | None:
        return self.get_response_headers(idx).get("content-type")

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        self.request_processor[idx].report_status(code, phrase)

    def set_all_response_status(self, code: int = 200, phrase: str = "") -> None:
        for each in self.request_processor:
            each.report_status(code, phrase)

    def get_response_status(self, idx: int) -> tuple[int, str]:
        one = self.request_processor[idx]
        return one.get_response_status_code(), one.get_response_status_phrase()

    def set_response_header(self, idx: int, key: str, value: str) -> None:
        self.request_processor[idx].add_response_property(key, value)

    def get_response_headers(self, idx: int) -> dict[str, str]:
        return self.request_processor[idx].get_response_headers()
