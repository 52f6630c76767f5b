"""Find the service that a name on the command line means: an InferenceService, or a Knative Service."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from torpor import errors
from torpor.cli.waiting import mark_of, text_of
from torpor.kube import Cluster
from torpor.spec import names
from torpor.spec.kinds import INFERENCE_SERVICE, KSERVICE, Kind, Object

WORDS: dict[str, tuple[Kind, ...]] = {
    "": (INFERENCE_SERVICE, KSERVICE),
    **dict.fromkeys(("isvc", "inferenceservice", "inferenceservices"), (INFERENCE_SERVICE,)),
    **dict.fromkeys(("ksvc", "kservice", "kservices", "service", "services", "svc"), (KSERVICE,)),
}


@dataclass(frozen=True, slots=True)
class Service:
    """What answers requests under one name."""

    kind: Kind
    name: str
    namespace: str
    object: Object

    @property
    def is_model(self) -> bool:
        return self.kind is INFERENCE_SERVICE

    @property
    def selector(self) -> str:
        """Labels of its pods. An InferenceService's pods belong to the Knative Service of its predictor."""
        return f"{names.SERVICE}={self.name}{'-predictor' if self.is_model else ''}"

    def url(self) -> str:
        """Return where it answers; raises UnavailableError with what its conditions say if it has no address yet."""
        url = (self.object.get("status") or {}).get("url")
        if not isinstance(url, str) or not urlsplit(url).hostname:
            said = text_of(mark_of(self.kind, self.object))
            raise errors.UnavailableError(f"{self.name} has no address yet: {said}")
        return url


async def find_service(cluster: Cluster, word: str, namespace: str) -> Service:
    """Return the service called `NAME`, `isvc/NAME` or `ksvc/NAME`."""
    prefix, _, name = word.rpartition("/")
    kinds = WORDS.get(prefix.partition(".")[0].lower())
    if kinds is None:
        raise errors.NotFoundError(f"{prefix!r} has no pods and no address of its own; use isvc/NAME or ksvc/NAME")
    for kind in kinds:
        try:
            return Service(kind, name, namespace, await cluster.get(kind, name, namespace))
        except errors.NotFoundError:
            continue
    sought = " or ".join(kind.kind if kind is INFERENCE_SERVICE else "Knative Service" for kind in kinds)
    raise errors.NotFoundError(f"there is no {sought} {name!r} in namespace {namespace!r}")
