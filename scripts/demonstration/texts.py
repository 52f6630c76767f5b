"""Sentences, all different, so that no answer can be mistaken for another's."""

from __future__ import annotations

import itertools

WHO = ("a cat", "the old captain", "my neighbour", "a tired engineer", "the model", "a small robot", "the baker", "she")
DOES = ("sleeps", "waits", "dreams", "wakes up", "sings", "reads the news", "answers at once", "counts to ten")
WHERE = ("on the mat", "at the harbour", "in the data centre", "under the tree", "before sunrise", "while nobody asks")

TEXTS = tuple(" ".join(words) for words in itertools.product(WHO, DOES, WHERE))
