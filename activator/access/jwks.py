"""Fetch the keys by which issuers sign, and keep them fresh: JSON Web Key Sets (RFC 7517) at their URLs."""

from __future__ import annotations

import hashlib
import logging
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from activator.access.guard import Key
from activator.access.tokens import Issuer, KeySet
from torpor.aio.backoff import Backoff
from torpor.aio.clock import Clock
from torpor.errors import InvalidInputError, UnavailableError
from torpor.kube import WorkQueue

log = logging.getLogger(__name__)

FRESH_S, SHORTEST_S, LONGEST_S = 300.0, 60.0, 3600.0
"""How long a set is used before the next look: as Cache-Control says, within bounds."""
STALE_S = 3600.0
"""How much longer, where the issuer cannot be asked. After that no token of it is taken."""
AGAIN_S = 5.0
"""Between two looks because of tokens with unknown keys: anybody can make those up."""
TIMEOUT_S = 5.0
BYTES = 256 * 1024
_MAX_AGE = re.compile(r"(?:\A|[,\s])max-age=([0-9]{1,9})(?:[,\s]|\Z)", re.IGNORECASE)


@dataclass(slots=True)
class Remote:
    """One issuer's set."""

    issuer: Issuer
    digest: bytes = b""
    """Of the set as it came last."""
    good_until_s: float = -math.inf
    """The keys there are may be relied on until then."""
    tried_s: float = -math.inf
    busy: bool = False


class Fetcher:
    """All of them. One look at a time for each issuer, and again with a back-off where it fails."""

    def __init__(
        self,
        clock: Clock,
        told: Callable[[Key, str], None],
        backoff: Backoff = Backoff(first_s=1.0, limit_s=30.0),
    ) -> None:
        """`told` hears why the keys of an issuer cannot be fetched, or, with no words, that they were."""
        self._clock = clock
        self._told = told
        self._remotes: dict[Key, Remote] = {}
        self._queue: WorkQueue[Key] = WorkQueue(self._look, parallel=4, backoff=backoff)
        self._session: aiohttp.ClientSession | None = None

    def follow(self, key: Key, issuer: Issuer) -> None:
        """Fetch the keys of an issuer, now and from then on."""
        self._remotes[key] = Remote(issuer)
        self._queue.add(key)

    def forget(self, key: Key) -> None:
        """Do so no longer."""
        self._remotes.pop(key, None)

    def wanted(self, key: Key) -> bool:
        """Look soon, for a token has a key that is not known; tells whether a look is on its way."""
        remote = self._remotes.get(key)
        if remote is None:
            return False
        now_s = self._clock.monotonic()
        if not remote.busy and now_s - remote.tried_s >= AGAIN_S:
            remote.tried_s, remote.busy = now_s, True
            self._queue.add(key)
        return remote.busy

    async def close(self) -> None:
        """Stop."""
        await self._queue.close()
        if self._session is not None:
            await self._session.close()

    async def _look(self, key: Key) -> float | None:
        remote = self._remotes.get(key)
        if remote is None:
            return None
        remote.busy, remote.tried_s = True, self._clock.monotonic()
        url = remote.issuer.spec.jwks_url
        try:
            raw, fresh_s = await self._get(url)
            digest = hashlib.sha256(raw).digest()
            if digest != remote.digest or not remote.issuer.ready:
                keys = KeySet.read(raw, url)
                remote.issuer.use(keys)
                remote.digest = digest
                log.info("issuer %s/%s: %d keys to verify with", *key, len(keys))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, InvalidInputError) as error:
            why = f"its keys cannot be fetched from {url}: {str(error) or type(error).__name__}"
            if remote.issuer.ready and self._clock.monotonic() > remote.good_until_s:
                remote.issuer.use(None)
            self._told(key, why)
            raise UnavailableError(f"issuer {'/'.join(key)}: {why}") from error
        finally:
            remote.busy = False
        remote.good_until_s = self._clock.monotonic() + fresh_s + STALE_S
        self._told(key, "")
        return fresh_s

    async def _get(self, url: str) -> tuple[bytes, float]:
        """Return a set, and how long it is fresh."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), trust_env=True)
        async with self._session.get(url, allow_redirects=False, headers={"Accept": "application/json"}) as response:
            if response.status != 200:
                raise InvalidInputError("its answer", response.status, "200 is needed")
            raw = b""
            async for chunk in response.content.iter_chunked(64 * 1024):
                raw += chunk
                if len(raw) > BYTES:
                    raise InvalidInputError("its answer", "…", f"at most {BYTES} bytes are read")
            age = _MAX_AGE.search(response.headers.get("Cache-Control", ""))
            return raw, FRESH_S if age is None else min(LONGEST_S, max(SHORTEST_S, float(age[1])))
