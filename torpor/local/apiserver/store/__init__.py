"""Objects, their versions and what changed: in SQLite to last, in memory to be read and watched."""

from torpor.local.apiserver.store.record import Change, Stored, Traits
from torpor.local.apiserver.store.store import ExpiredError, Store

__all__ = ["Change", "ExpiredError", "Store", "Stored", "Traits"]
