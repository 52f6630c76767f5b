"""A chain of services is woken whole."""

from __future__ import annotations

from activator.waiting.chain import woken_with

Key = tuple[str, str]


def woken(wakes: dict[str, list[str]], leads_to: dict[str, list[str]], first: str = "transformer-1") -> list[str]:
    def services(revision: Key) -> list[str]:
        return wakes.get(revision[1], [])

    def revisions(namespace: str, service: str) -> list[Key]:
        assert namespace == "default"
        return [("default", revision) for revision in leads_to.get(service, [])]

    return [name for _, name in woken_with(("default", first), services, revisions)]


def test_every_link_is_woken_at_the_first_request() -> None:
    """Also those that only a later link names; each once."""
    wakes = {"transformer-1": ["predictor", "explainer"], "explainer-4": ["predictor"], "predictor-2": ["features"]}
    leads_to = {"predictor": ["predictor-2", "predictor-3"], "explainer": ["explainer-4"], "features": ["features-9"]}
    assert woken(wakes, leads_to) == ["predictor-2", "predictor-3", "explainer-4", "features-9"]


def test_a_circle_ends() -> None:
    """Whoever begins it is not woken by itself."""
    wakes = {"transformer-1": ["predictor"], "predictor-2": ["transformer", "predictor"]}
    leads_to = {"predictor": ["predictor-2"], "transformer": ["transformer-1"]}
    assert woken(wakes, leads_to) == ["predictor-2"]


def test_a_service_that_is_not_there_wakes_nobody() -> None:
    """It may come later, or be misspelt."""
    assert woken({"transformer-1": ["predictor"]}, {}) == []
