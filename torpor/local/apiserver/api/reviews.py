"""Who am I, and may I: on a laptop, whoever has the token may do everything."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from torpor.local.apiserver.api.answers import answer
from torpor.local.apiserver.api.body import read_object
from torpor.local.apiserver.status import bad_request
from torpor.spec.kinds import Object

USER = {"username": "torpor:owner", "groups": ["system:masters", "system:authenticated"]}

REVIEWS: dict[str, tuple[str, Object]] = {
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": (
        "SelfSubjectAccessReview",
        {"allowed": True, "reason": "the token of this data directory"},
    ),
    "/apis/authentication.k8s.io/v1/selfsubjectreviews": ("SelfSubjectReview", {"userInfo": USER}),
}


async def review(request: Request) -> Response:
    """Answer `kubectl auth can-i` and `kubectl auth whoami`."""
    kind, status = REVIEWS[request.url.path]
    asked = await read_object(request)
    if not isinstance(asked, dict) or asked.get("kind", kind) != kind:
        raise bad_request(f"a {kind} is needed")
    return answer({**asked, "status": status}, 201)
