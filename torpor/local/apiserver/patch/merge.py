"""JSON merge patch (RFC 7386) and JSON patch (RFC 6902)."""

from __future__ import annotations

from typing import Any

import jsonpatch

from torpor.local.apiserver.status import ApiError, bad_request

MAX_OPERATIONS = 10_000
"""As in Kubernetes: operations of one JSON patch."""


def merge(target: Any, patch: Any) -> Any:
    """Return what RFC 7386 makes of `target`; neither is changed."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def operate(target: Any, operations: Any) -> Any:
    """Return what RFC 6902 makes of `target`; raises a 400 or 422 in Kubernetes' words."""
    if not isinstance(operations, list):
        raise bad_request("error decoding patch: a JSON patch is a list of operations")
    if len(operations) > MAX_OPERATIONS:
        text = f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(operations)}"
        raise ApiError(413, "RequestEntityTooLarge", text)
    try:
        return jsonpatch.apply_patch(target, operations, in_place=False)
    except jsonpatch.JsonPatchTestFailed as error:
        raise _unprocessable(f"testing value failed: {error}") from error
    except jsonpatch.InvalidJsonPatch as error:
        raise bad_request(f"error decoding patch: {error}") from error
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        raise _unprocessable(str(error)) from error
    except (TypeError, KeyError, AttributeError, ValueError, IndexError) as error:
        # The library trusts the shape of what it is given; a patch comes from anybody.
        raise bad_request(f"error decoding patch: {error}") from error


def _unprocessable(message: str) -> ApiError:
    return ApiError(422, "Invalid", f"the server rejected our request due to an error in our request: {message}")
