"""Decide whether a request may pass: one guard for each Route that has a policy. Pure: time is an argument.

A policy that cannot be read, or names what is not there, lets nobody in. Whoever is turned away has cost a look at a
few headers: no place in a queue, no pod, and nothing of its body is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from activator.access import limits
from activator.access.credentials import API_KEY, AUTHORIZATION, KEY_PREFIX, NOTHING, Shown
from activator.access.grant import ANONYMOUS, Caller, Grant, printable
from activator.access.keys import KeyRing, digest_of_key
from activator.access.limits import Usage
from activator.access.public import is_public
from activator.access.tokens import Issuer, UnknownSignerError, issuer_of
from torpor.errors import ForbiddenError, OverLimitError, TorporError, UnauthorizedError, UnavailableError
from torpor.spec.access import ALL, Policy

Key = tuple[str, str]
"""(namespace, name)"""


class Sources:
    """What policies name, by (namespace, name): as the cluster has it now."""

    def __init__(self, wanted: Callable[[Key], bool] = lambda _: False) -> None:
        """`wanted` has the keys of an issuer fetched anew; it says whether they will be."""
        self.rings: dict[Key, KeyRing] = {}
        self.issuers: dict[Key, Issuer] = {}
        self.unreadable: dict[Key, str] = {}
        """Why no token of an issuer can be verified."""
        self.wanted = wanted


class Guard:
    """Of one Route."""

    __slots__ = ("_limited", "_policy", "counts", "key", "sources", "usage", "why")

    def __init__(self, key: Key, policy: Policy | None, sources: Sources) -> None:
        self.key = key
        self.sources = sources
        self.usage = Usage()
        """Of all its callers together."""
        self.policy = policy
        self.why = ""
        """Why there is no policy that can be read."""
        self.counts: Counter[str] = Counter()
        """Requests by what became of them."""

    @property
    def policy(self) -> Policy | None:
        """Return what holds; None where it cannot be read."""
        return self._policy

    @policy.setter
    def policy(self, policy: Policy | None) -> None:
        self._policy = policy
        self._limited = () if policy is None else limits.of("service", policy.quota, self.usage)

    def admit(
        self, method: bytes, target: bytes, shown: Shown, now_s: float, wall_s: float, *, counted: bool = True
    ) -> Grant:
        """Return the grant of a request; raises a TorporError that fits why it may not pass.

        `counted` is false for what rates do not count: coming back for an answer.
        """
        try:
            grant = self._admit(method, target, shown, now_s, wall_s, counted=counted)
        except TorporError as error:
            self.counts[_NAMES.get(type(error), "unavailable")] += 1
            raise
        self.counts["admitted"] += 1
        return grant

    def problems(self) -> list[str]:
        """Return what keeps callers out who should be let in."""
        policy, (namespace, _) = self.policy, self.key
        if policy is None:
            return [self.why]
        found: list[str] = []
        for name in policy.keys:
            ring = self.sources.rings.get((namespace, name))
            if ring is None:
                found.append(f"Secret {name} with its keys is not there, or has no label torpor.dev/access: keys")
            else:
                found += (f"Secret {name}: {problem}" for problem in ring.problems)
        for name in policy.jwt:
            issuer = self.sources.issuers.get((namespace, name))
            if issuer is None or not issuer.ready:
                missing = "it is not there, or has no label torpor.dev/access: jwt" if issuer is None else ""
                why = self.sources.unreadable.get((namespace, name), missing)
                found += [f"ConfigMap {name} about an issuer: {why}"] if why else []
        return found

    def _admit(
        self, method: bytes, target: bytes, shown: Shown, now_s: float, wall_s: float, *, counted: bool
    ) -> Grant:
        policy = self.policy
        if policy is None:
            raise self._unavailable()
        caller = self._identify(policy, shown, wall_s)
        if caller is ANONYMOUS and not is_public(policy.anonymous, method, target):
            raise self._unauthorized("this service answers to callers it knows", shown)
        if caller.terms.services and self.key[1] not in caller.terms.services:
            raise ForbiddenError("this caller may not call this service")
        limited = caller.limited + self._limited
        lines = limits.admit(limited, now_s) if counted and limited else b""
        return Grant(caller, limited, lines, b"" if policy.forward else caller.header, self)

    def _identify(self, policy: Policy, shown: Shown, wall_s: float) -> Caller:
        if shown is NOTHING or not (policy.keys or policy.jwt):
            return ANONYMOUS
        if shown.twice:
            raise self._unauthorized("Authorization and X-API-Key may come once each", shown)
        if policy.keys and shown.api_key is not None:
            return self._by_key(policy, shown.api_key, API_KEY, shown, wall_s)
        bearer = shown.bearer
        if bearer is None:
            return ANONYMOUS
        if policy.keys and (bearer.startswith(KEY_PREFIX) or not (policy.jwt or ALL in policy.anonymous)):
            return self._by_key(policy, bearer, AUTHORIZATION, shown, wall_s)
        # What is neither may be for the pod: whether that is enough, the policy says.
        return self._by_token(policy, bearer, shown, wall_s) if policy.jwt else ANONYMOUS

    def _by_key(self, policy: Policy, raw: bytes, header: bytes, shown: Shown, wall_s: float) -> Caller:
        digest, found, complete = digest_of_key(raw), None, True
        for name in policy.keys:
            ring = self.sources.rings.get((self.key[0], name))
            if ring is None:
                complete = False
            elif digest is not None:
                found = ring.find(raw, digest) or found
        if found is None:
            raise self._unauthorized("there is no such key", shown) if complete else self._unavailable()
        entry = found.entry
        if entry.expires_s is not None and wall_s >= entry.expires_s:
            raise self._unauthorized("the key has expired", shown)
        return found.callers[header]

    def _by_token(self, policy: Policy, token: bytes, shown: Shown, wall_s: float) -> Caller:
        named = issuer_of(token)
        refused: TorporError | None = None
        missing = fetching = False
        for name in policy.jwt:
            key = (self.key[0], name)
            issuer = self.sources.issuers.get(key)
            if issuer is None:
                missing = True
            elif issuer.spec.issuer == named:
                try:
                    subject = issuer.verify(token, wall_s).subject
                except UnknownSignerError as error:
                    refused = error
                    fetching = self.sources.wanted(key) or not issuer.ready or fetching
                except (UnauthorizedError, ForbiddenError) as error:
                    refused = error
                else:
                    id_ = f"jwt:{printable(named)} {printable(subject)}".encode()
                    limited = issuer.callers.of(subject)
                    return Caller(id_, f"jwt:{subject}", issuer.spec.terms, limited, AUTHORIZATION)
        if isinstance(refused, ForbiddenError):
            raise refused
        if fetching:
            raise UnavailableError("the keys of the token's issuer are being fetched; try again")
        if missing:
            raise self._unavailable()
        raise self._unauthorized("the token's issuer is not known here" if refused is None else str(refused), shown)

    def _unauthorized(self, why: str, shown: Shown) -> UnauthorizedError:
        """Return an error that says what is taken, and nothing of what was shown."""
        policy = self.policy
        ways = []
        if policy is not None and policy.keys:
            ways.append("an API key as 'Authorization: Bearer tk_…' or 'X-API-Key: tk_…'")
        if policy is not None and policy.jwt:
            ways.append("a token as 'Authorization: Bearer …'")
        error = UnauthorizedError(f"{why}; send {' or '.join(ways)}")
        wrong = "" if shown is NOTHING else ', error="invalid_token"'
        error.headers = (("WWW-Authenticate", f'Bearer realm="{"/".join(self.key)}"{wrong}'),)
        return error

    @staticmethod
    def _unavailable() -> UnavailableError:
        return UnavailableError(
            "who may call this service cannot be told now; its owner finds why in its Route's events"
        )


_NAMES = {UnauthorizedError: "unauthorized", ForbiddenError: "forbidden", OverLimitError: "over_limit"}
