"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# A busy machine is slow, not wrong: the time of one example says nothing; pytest-timeout bounds the whole test.
settings.register_profile("torpor", deadline=None)
settings.load_profile("torpor")
