"""Pods that are deleted by force at the worst moment: while the API's answer about them is on its way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.local.kubelet.inside import lone_pod, working
from tests.support.until import until
from torpor.local.kubelet import slices
from torpor.spec.kinds import CORE_SERVICE, ENDPOINT_SLICE, POD, Kind, Object


@pytest.mark.parametrize("by_us", [True, False], ids=["created-by-us", "taken-in"])
async def test_a_pod_that_goes_before_we_have_its_answer_does_not_run_on(by_us: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """The watch says that it went before there is anything to end: it ends as soon as there is."""
    async with working(tmp_path) as kubelet:

        def delete(kind: Kind, made: Object) -> None:
            if kind is POD:
                kubelet.cluster.meanwhile = lambda _kind, _obj: None
                kubelet.said(None, made)
                kubelet.cluster.remove(POD, "lone", "default")
                kubelet.said(made, None)

        if by_us:
            kubelet.cluster.meanwhile = delete
            await kubelet.lives.create(lambda _port: lone_pod())
        else:
            made = kubelet.cluster.put(POD, lone_pod())
            kubelet.cluster.meanwhile = delete
            kubelet.said(None, made)
            await until(lambda: not kubelet.cluster.all(POD))
            await until(lambda: not kubelet.lives._admitting)
        await until(lambda: not list(kubelet.lives.all()))
        await until(lambda: not kubelet.processes())
        assert not kubelet.lives._gone_early, "nobody is on the way in any more"


async def test_a_pod_whose_end_nobody_told_us_is_noticed_by_its_status(tmp_path: Path) -> None:
    """The watch was broken when it came and when it went; the API knows no such pod."""
    async with working(tmp_path) as kubelet:
        await kubelet.lives.create(lambda _port: lone_pod())
        kubelet.cluster.remove(POD, "lone", "default")
        await until(lambda: not list(kubelet.lives.all()))
        await until(lambda: not kubelet.processes())


async def test_a_slice_that_is_being_written_while_its_pod_goes_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the API takes for it: whoever read it would send requests to a port that is free."""
    monkeypatch.setattr(slices, "WITHDRAW_S", 0.05)
    async with working(tmp_path) as kubelet:
        service = {
            "metadata": {"name": "lone", "namespace": "default"},
            "spec": {"selector": {"app": "lone"}, "ports": [{"name": "http", "port": 80}]},
        }
        kubelet.services.items["default", "lone"] = kubelet.cluster.put(CORE_SERVICE, service)
        answered = kubelet.cluster.slices_answered = asyncio.Event()
        pod = await kubelet.lives.create(lambda _port: lone_pod())
        await until(lambda: kubelet.cluster.all(ENDPOINT_SLICE))
        kubelet.cluster.remove(POD, "lone", "default")
        kubelet.said(pod, None)
        await until(lambda: not list(kubelet.lives.all()))
        answered.set()
        await until(lambda: not kubelet.cluster.all(ENDPOINT_SLICE))
        await until(lambda: not kubelet.slices._written)
