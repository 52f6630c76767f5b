"""The only importer of the Kubernetes client: requests, informers, work queues, events."""

from torpor.kube.client import Cluster, Patch
from torpor.kube.events import Recorder
from torpor.kube.informer import Change, Informer
from torpor.kube.queue import WorkQueue
from torpor.kube.settled import Settled

__all__ = ["Change", "Cluster", "Informer", "Patch", "Recorder", "Settled", "WorkQueue"]
