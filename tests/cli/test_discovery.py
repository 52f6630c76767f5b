"""Words on the command line mean kinds."""

from __future__ import annotations

import pytest

from torpor.cli.discovery import Resource, label, pick
from torpor.errors import NotFoundError
from torpor.spec.kinds import CORE_SERVICE, INFERENCE_SERVICE, KSERVICE, POD, Kind

KNOWN = (
    Resource(POD, frozenset({"pods", "pod", "po"})),
    Resource(CORE_SERVICE, frozenset({"services", "service", "svc"})),
    Resource(KSERVICE, frozenset({"services", "service", "ksvc", "kservice"})),
    Resource(INFERENCE_SERVICE, frozenset({"inferenceservices", "inferenceservice", "isvc"})),
)


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        pytest.param("pods", POD, id="plural"),
        pytest.param("Pod", POD, id="kind-in-capitals"),
        pytest.param("po", POD, id="short-name"),
        pytest.param("isvc", INFERENCE_SERVICE, id="kserve-short-name"),
        pytest.param("service", CORE_SERVICE, id="core-wins-as-in-kubectl"),
        pytest.param("service.serving.knative.dev", KSERVICE, id="with-its-group"),
        pytest.param("services.serving", KSERVICE, id="with-the-beginning-of-its-group"),
    ],
)
def test_a_word_means_a_kind(word: str, kind: Kind) -> None:
    """As kubectl reads it."""
    assert pick(KNOWN, word) is kind


@pytest.mark.parametrize(
    ("word", "hint"),
    [("inferenceservise", "did you mean 'inferenceservice'?"), ("zebra", "it serves inferenceservices")],
)
def test_an_unknown_word_is_answered_with_a_known_one(word: str, hint: str) -> None:
    """A slip of the finger is recognised; otherwise all kinds are listed."""
    with pytest.raises(NotFoundError) as caught:
        pick(KNOWN, word)
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "text"), [(POD, "pod/x"), (KSERVICE, "service.serving.knative.dev/x")], ids=["core", "group"]
)
def test_objects_are_called_as_kubectl_calls_them(kind: Kind, text: str) -> None:
    """Scripts may rely on it."""
    assert label(kind, "x") == text
