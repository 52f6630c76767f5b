"""Know who guards each Route, as Routes, Namespaces, Secrets and ConfigMaps of the cluster say now.

What is known holds until something else is: while the API cannot be reached, nobody is let in who was not, and nobody
is kept out. A Secret that goes, or a policy that turns unreadable, keeps callers out at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal

from activator.access.guard import Guard, Key, Sources
from activator.access.jwks import Fetcher
from activator.access.keys import KeyRing
from activator.access.tokens import Issuer, KeySet
from torpor.aio.clock import Clock
from torpor.errors import InvalidInputError
from torpor.kube import Change, Cluster, Informer, Recorder
from torpor.spec import apikeys, issuers, names
from torpor.spec.access import parse_access
from torpor.spec.issuers import IssuerSpec, parse_issuer
from torpor.spec.kinds import CONFIG_MAP, NAMESPACE, SECRET, Object, key_of

log = logging.getLogger(__name__)

SETTLE_S = 2.0
"""Objects of one manifest come one after the other: what is missing is told when it has been for so long."""


class Locks:
    """Make it before the informers run."""

    def __init__(self, routes: Informer, recorder: Recorder, clock: Clock) -> None:
        self._fetcher = Fetcher(clock, self._fetched)
        self._sources = Sources(self._fetcher.wanted)
        self._routes = routes
        self._namespaces: dict[str, str] = {}
        """The policies of Namespaces."""
        self._specs: dict[Key, IssuerSpec] = {}
        self._guards: dict[Key, Guard] = {}
        self._recorder = recorder
        # Guards whose problems may have changed, and what was told of them.
        self._unsure: set[Key] = set()
        self._told: dict[Key, str] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.on_policy: Callable[[Iterable[Key]], None] = lambda _: None
        """Called with Routes whose guard may be another now."""
        routes.subscribe(self.route_changed)

    def __iter__(self) -> Iterator[Guard]:
        return iter(self._guards.values())

    def informers(self, cluster: Cluster) -> list[Informer]:
        """Return what is to be run to follow what policies are in, and what they name."""
        return [
            Informer(cluster, NAMESPACE, self.namespace_changed),
            Informer(cluster, SECRET, self.secret_changed, labels=f"{names.ACCESS}={apikeys.LABEL}"),
            Informer(cluster, CONFIG_MAP, self.config_changed, labels=f"{names.ACCESS}={issuers.LABEL}"),
        ]

    def guard_of(self, route: Object) -> Guard | None:
        """Return who lets requests to a Route in; None: everybody may come."""
        key = key_of(route)
        raw = _policy_of(route)
        if raw is None:
            raw = self._namespaces.get(key[0])
        if raw is None:
            self._guards.pop(key, None)
            self._doubt(key)
            return None
        guard = self._guards.get(key)
        if guard is None:
            guard = self._guards[key] = Guard(key, None, self._sources)
        try:
            guard.policy, guard.why = parse_access(f"metadata.annotations[{names.ACCESS}]", raw), ""
        except InvalidInputError as error:
            guard.policy, guard.why = None, str(error)
        self._doubt(key)
        return guard

    # --- what the informers say --------------------------------------------------------------------------------

    def route_changed(self, change: Change) -> None:
        """Forget a Route that is gone."""
        if change.new is None:
            self._guards.pop(change.key, None)
            self._told.pop(change.key, None)

    def namespace_changed(self, change: Change) -> None:
        """Take in a Namespace's policy."""
        name = change.key[1]
        raw = None if change.new is None else _policy_of(change.new)
        if raw == self._namespaces.get(name):
            return
        if raw is None:
            del self._namespaces[name]
        else:
            self._namespaces[name] = raw
        self.on_policy([key for key in self._routes.items if key[0] == name])

    def secret_changed(self, change: Change) -> None:
        """Take in keys: from now on these, and no others."""
        rings = self._sources.rings
        if change.new is None:
            rings.pop(change.key, None)
        else:
            rings[change.key] = KeyRing.read(change.new, rings.get(change.key))
        self._doubt(*(key for key, guard in self._guards.items() if _names(guard, change.key)))

    def config_changed(self, change: Change) -> None:
        """Take in what is said of an issuer."""
        key, sources = change.key, self._sources
        sources.unreadable.pop(key, None)
        spec: IssuerSpec | None = None
        if change.new is not None:
            try:
                spec = parse_issuer(_texts(change.new))
                if spec == self._specs.get(key):
                    return
                keys = KeySet.read(spec.jwks, "data[jwks]") if spec.jwks else None
            except InvalidInputError as error:
                spec, sources.unreadable[key] = None, str(error)
        self._fetcher.forget(key)
        if spec is None:
            self._specs.pop(key, None)
            sources.issuers.pop(key, None)
        else:
            self._specs[key] = spec
            issuer = sources.issuers[key] = Issuer(spec, keys)
            if spec.jwks_url:
                self._fetcher.follow(key, issuer)
        self._doubt(*(other for other, guard in self._guards.items() if _names(guard, key)))

    # --- what people are told ----------------------------------------------------------------------------------

    def look(self) -> None:
        """Tell of policies that keep callers out who should be let in, and of those that do so no longer."""
        self._timer = None
        unsure, self._unsure = self._unsure, set()
        for key in unsure:
            guard, route = self._guards.get(key), self._routes.items.get(key)
            said = "" if guard is None else "; ".join(guard.problems())
            if said == self._told.get(key, "") or route is None:
                continue
            if said:
                self._told[key] = said
                log.warning("Route %s/%s: its access policy keeps callers out: %s", *key, said)
                self._tell(route, "Warning", "AccessPolicyUnusable", f"callers are kept out: {said}")
            else:
                del self._told[key]
                log.info("Route %s/%s: its access policy can be applied", *key)
                self._tell(route, "Normal", "AccessPolicyUsable", "the access policy can be applied")

    async def close(self) -> None:
        """Stop."""
        if self._timer is not None:
            self._timer.cancel()
        await self._fetcher.close()

    def _tell(self, route: Object, type_: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        """Tell it of the Route and of what that is made for, which is what people look at."""
        self._recorder.emit(route, type_, reason, message)
        for owner in route["metadata"].get("ownerReferences") or ():
            if owner.get("controller"):
                metadata = {"name": owner["name"], "namespace": key_of(route)[0], "uid": owner.get("uid", "")}
                about = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "metadata": metadata}
                self._recorder.emit(about, type_, reason, message)

    def _fetched(self, key: Key, why: str) -> None:
        before = self._sources.unreadable.get(key, "")
        if why:
            self._sources.unreadable[key] = why
        else:
            self._sources.unreadable.pop(key, None)
        if why != before:
            self._doubt(*(other for other, guard in self._guards.items() if _names(guard, key)))

    def _doubt(self, *keys: Key) -> None:
        self._unsure.update(keys)
        if self._unsure and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SETTLE_S, self.look)


def _policy_of(obj: Object) -> str | None:
    found = (obj["metadata"].get("annotations") or {}).get(names.ACCESS)
    return None if found is None else str(found)


def _names(guard: Guard, source: Key) -> bool:
    policy = guard.policy
    return policy is not None and guard.key[0] == source[0] and source[1] in (*policy.keys, *policy.jwt)


def _texts(config: Object) -> Mapping[str, str]:
    return {str(name): str(value) for name, value in (config.get("data") or {}).items()}
