"""A real door with locks, told of policies, keys and issuers as the informers would tell it."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from activator.access.guard import Guard
from activator.access.locks import Locks
from activator.grpc.client import ClientLine
from activator.routing.table import guarded, merge, read
from activator.settings import ClientLimits, Deferring, PodLimits, StreamLimits, Waiting
from tests.activator.proxy.doorway import DOMAIN, NAMESPACE, Doorway, doorway
from tests.activator.proxy.pods import OK, Behave, Pod, answering, pod
from tests.activator.proxy.wire import Answer, wire
from tests.support.clock import FakeClock
from torpor.aio.clock import Clock, SystemClock
from torpor.kube import Change
from torpor.spec import names
from torpor.spec.apikeys import digest_of, make_key, write_key_entry
from torpor.spec.kinds import CONFIG_MAP, ROUTE, SECRET, Kind, Object, key_of
from torpor.spec.kinds import NAMESPACE as NAMESPACES

KEYS = "keys"
ID = "abcd1234"
GOOD = make_key(ID, bytes(range(32)))
WRONG = make_key(ID, bytes(range(1, 33)))
UNKNOWN = make_key("zzzz9999", bytes(range(32)))
ELSEWHERE = make_key("else4321", bytes(range(2, 34)))
"""Good, but not for this service."""
EXPIRED = make_key("past1111", bytes(range(3, 35)))
SECRETS = tuple(key.rpartition("_")[2] for key in (GOOD, WRONG, UNKNOWN, ELSEWHERE, EXPIRED))
"""What must never be seen anywhere."""


def entry(key: str, **directives: str) -> str:
    return write_key_entry(digest_of(key.encode()), **directives)


ENTRIES = {
    ID: entry(GOOD, name="alice"),
    "else4321": entry(ELSEWHERE, services="other"),
    "past1111": entry(EXPIRED, expires="2020-01-01T00:00:00Z"),
}


@dataclass
class Events:
    """What is told about objects."""

    said: list[tuple[str, str, str, str]] = field(default_factory=list)

    def emit(self, about: Object, type_: str, reason: str, message: str) -> None:
        self.said.append((about["metadata"]["name"], type_, reason, message))


class Routes:
    """Fits what Locks wants of an informer."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], Object] = {}
        self.handlers: list[Callable[[Change], None]] = []

    def subscribe(self, on_change: Callable[[Change], None]) -> None:
        self.handlers.append(on_change)


class Gate:
    """The door, and what the cluster says of who may pass."""

    def __init__(self, door: Doorway, clock: Clock, grpc_port: int) -> None:
        self.door = door
        self.grpc_port = grpc_port
        self.events = Events()
        self.routes = Routes()
        self.locks = Locks(self.routes, self.events, clock)  # type: ignore[arg-type]
        self.locks.on_policy = lambda _: self.apply()
        self._known: dict[tuple[Kind, tuple[str, str]], Object] = {}
        self._handlers = {
            NAMESPACES: self.locks.namespace_changed,
            SECRET: self.locks.secret_changed,
            CONFIG_MAP: self.locks.config_changed,
        }

    @property
    def port(self) -> int:
        return self.door.port

    def tell(self, kind: Kind, obj: Object | None, key: tuple[str, str]) -> None:
        old = self._known.pop((kind, key), None)
        if obj is not None:
            self._known[kind, key] = obj
        self._handlers[kind](Change(kind, key, old, obj))

    def keys(self, entries: dict[str, str] | None, name: str = KEYS) -> None:
        """Say what a Secret has; None: it is gone."""
        metadata = {"namespace": NAMESPACE, "name": name, "labels": {names.ACCESS: "keys"}}
        data = {id_: base64.b64encode(text.encode()).decode() for id_, text in (entries or {}).items()}
        self.tell(SECRET, None if entries is None else {"metadata": metadata, "data": data}, (NAMESPACE, name))

    def issuer(self, data: dict[str, str] | None, name: str = "idp") -> None:
        """Say what a ConfigMap says of an issuer."""
        metadata = {"namespace": NAMESPACE, "name": name, "labels": {names.ACCESS: "jwt"}}
        self.tell(CONFIG_MAP, None if data is None else {"metadata": metadata, "data": data}, (NAMESPACE, name))

    def namespace(self, policy: str | None) -> None:
        annotations = {} if policy is None else {names.ACCESS: policy}
        self.tell(NAMESPACES, {"metadata": {"name": NAMESPACE, "annotations": annotations}}, ("", NAMESPACE))

    def route(
        self,
        name: str,
        policy: str | None,
        tags: dict[str, str] | None = None,
        owner: str | None = None,
        annotations: dict[str, str] | None = None,
    ) -> None:
        """Make a Route to the revision of the same name."""
        given = (annotations or {}) | ({} if policy is None else {names.ACCESS: policy})
        traffic: list[Object] = [{"revisionName": name, "percent": 100}]
        traffic += [{"revisionName": each, "tag": tag} for tag, each in (tags or {}).items()]
        metadata: Object = {"namespace": NAMESPACE, "name": name, "annotations": given}
        if owner is not None:
            reference = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": owner, "controller": True}
            metadata["ownerReferences"] = [reference]
        route = {"metadata": metadata, "status": {"traffic": traffic}}
        self.routes.items[key_of(route)] = route
        self.apply()

    def unroute(self, name: str) -> None:
        old = self.routes.items.pop((NAMESPACE, name))
        for handler in self.routes.handlers:
            handler(Change(ROUTE, (NAMESPACE, name), old, None))
        self.apply()

    def apply(self) -> None:
        """Make the table as the follower does."""
        made = [guarded(read(route, DOMAIN, {}), self.locks.guard_of(route)) for route in self.routes.items.values()]
        self.door.door.router.table = merge(made, DOMAIN)

    def guard(self, name: str = "app") -> Guard:
        [found] = [guard for guard in self.locks if guard.key[1] == name]
        return found


@contextlib.asynccontextmanager
async def gate(
    client: ClientLimits | None = None,
    waiting: Waiting | None = None,
    clock: Clock | None = None,
    deferring: Deferring | None = None,
    pods: PodLimits | None = None,
) -> AsyncIterator[Gate]:
    """A door with both data ports, and an empty Secret of keys."""
    clock = clock or SystemClock()
    async with doorway(client, pods, waiting, clock, deferring) as door:
        limits = StreamLimits()
        await door.server.listen("grpc-port", lambda: ClientLine(door.door, limits), "127.0.0.1", 0, None)
        made = Gate(door, clock, door.server.ports[-1])
        try:
            yield made
        finally:
            await made.locks.close()


POLICY = f"keys={KEYS}"
BOB = make_key("bobb1234", bytes(range(9, 41)))


def bearer(credential: str) -> str:
    return f"Authorization: Bearer {credential}"


@contextlib.asynccontextmanager
async def scene(
    policy: str | None = POLICY, behave: Behave | None = None, clock: FakeClock | None = None, **spec: int
) -> AsyncIterator[tuple[Gate, Pod]]:
    """A service with a policy and one pod."""
    async with gate(clock=clock, deferring=Deferring()) as made, pod(behave or answering(OK)) as behind:
        made.keys(ENTRIES)
        made.door.revise("app", **spec)
        made.door.scale("app", behind.port)
        made.route("app", policy)
        yield made, behind


async def ask(made: Gate, request: bytes, method: str = "GET") -> Answer:
    async with wire(made.port) as client:
        return await client.ask(request, method=method)
