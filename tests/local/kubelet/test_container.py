"""A run that breaks in a way that nobody thought of: it has an end, like any other, and the next one goes better."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.local.kubelet.inside import Kubelet, lone_pod, working
from tests.support.until import until
from torpor.local.kubelet import container
from torpor.local.kubelet.files import PodFiles
from torpor.local.kubelet.probing import Answer
from torpor.spec.kinds import POD, Object

PROBE = {"exec": {"command": ["true"]}, "periodSeconds": 1}


def status(kubelet: Kubelet) -> Object:
    [pod] = kubelet.cluster.all(POD)
    [told] = (pod.get("status") or {}).get("containerStatuses") or [{}]
    return dict(told)


def word(kubelet: Kubelet) -> str:
    """Why its container waits."""
    waiting: Object = (status(kubelet).get("state") or {}).get("waiting") or {}
    return str(waiting.get("reason"))


async def test_a_broken_probe_ends_the_run_and_the_next_one_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Not a pod that stays unready for ever, without a word; nothing of the broken run is left."""
    asked: list[int] = []

    async def ask(*_: Any) -> Answer:
        asked.append(1)
        if len(asked) == 1:
            raise RuntimeError("nobody thought of this")
        return Answer(success=True)

    monkeypatch.setattr(container, "ask", ask)
    async with working(tmp_path) as kubelet:
        await kubelet.lives.create(lambda _port: lone_pod(readinessProbe=PROBE))
        await until(lambda: status(kubelet).get("ready"))
        told = status(kubelet)
        ended = told["lastState"]["terminated"]
        assert (told["restartCount"], ended["exitCode"], ended["reason"]) == (1, 128, "Error")
        assert "nobody thought of this" in caplog.text
        assert len(kubelet.processes()) == 1


async def test_a_run_that_never_gets_to_its_program_waits_with_back_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told as a start that failed, again and again, and its pod can be ended at any time."""

    def prepare(*_: object) -> None:
        raise RuntimeError("the disk speaks in tongues")

    monkeypatch.setattr(PodFiles, "prepare", prepare)
    async with working(tmp_path) as kubelet:
        pod = await kubelet.lives.create(lambda _port: lone_pod())
        await until(lambda: word(kubelet) == "CrashLoopBackOff")
        told = status(kubelet)
        ended = told["lastState"]["terminated"]
        assert (told["restartCount"], ended["reason"]) == (1, "StartError")
        assert ended["message"] == "the disk speaks in tongues"
        kubelet.cluster.remove(POD, "lone", "default")
        kubelet.said(pod, None)
        await until(lambda: not list(kubelet.lives.all()))
