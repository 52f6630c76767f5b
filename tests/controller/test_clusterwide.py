"""The cluster's ConfigMaps in the controller: what comes later is made by them, what is there stays as it was made."""

from __future__ import annotations

import pytest

from tests.controller.world import World, world
from torpor.spec import clusterrevisions, clusterscaling
from torpor.spec.configmap import NAMESPACE
from torpor.spec.kinds import CONFIG_MAP, DEPLOYMENT, EVENT, KSERVICE, REVISION

DEFAULTS, SCALING = clusterrevisions.NAME, clusterscaling.NAME


def say(it: World, name: str, **data: str) -> None:
    """Write a ConfigMap, its keys with underscores."""
    body = {key.replace("_", "-"): value for key, value in data.items()}
    it.cluster.put(CONFIG_MAP, {"metadata": {"name": name, "namespace": NAMESPACE}, "data": body})


async def deployed(it: World, revision: str) -> None:
    await it.settle(lambda: it.find(DEPLOYMENT, f"{revision}-deployment"))


async def test_a_revision_is_made_by_the_defaults_of_its_day() -> None:
    """Limits, the container's name and its resources are written into it, and no later change reaches it."""
    async with world() as it:
        it.apply("before")
        await deployed(it, "before-00001")
        old = it.get(REVISION, "before-00001")["spec"]
        say(
            it,
            DEFAULTS,
            revision_timeout_seconds="120",
            container_concurrency="4",
            container_name_template="run-{{.Name}}",
            revision_memory_request="64Mi",
        )
        await it.settle()
        it.apply("after")
        await deployed(it, "after-00001")
        new = it.get(REVISION, "after-00001")["spec"]
        assert (new["timeoutSeconds"], new["containerConcurrency"]) == (120, 4)
        assert new["containers"][0]["name"] == "run-after"
        pod = it.get(DEPLOYMENT, "after-00001-deployment")["spec"]["template"]["spec"]
        assert pod["containers"][0]["resources"]["requests"] == {"memory": "64Mi"}
        assert it.get(REVISION, "before-00001")["spec"] == old
        assert (old["timeoutSeconds"], old["containerConcurrency"]) == (300, 0)
        it.cluster.remove(CONFIG_MAP, DEFAULTS, NAMESPACE)
        await it.settle()
        it.apply("last")
        await deployed(it, "last-00001")
        assert it.get(REVISION, "last-00001")["spec"] | {"containers": []} == old | {"containers": []}


async def test_what_the_cluster_forbids_later_runs_on() -> None:
    """A limit that comes later stops no revision, nor does a bound of its scale; it stops the next one."""
    async with world() as it:
        it.cluster.put(
            KSERVICE,
            {
                "metadata": {"name": "svc", "namespace": "default"},
                "spec": {"template": {"spec": {"timeoutSeconds": 900, "containers": [{"image": "i"}]}}},
            },
        )
        await deployed(it, "svc-00001")
        it.run_pods("svc-00001", 1)
        await it.settle(lambda: it.ready(KSERVICE, "svc") == "True")
        say(it, DEFAULTS, revision_timeout_seconds="60", max_revision_timeout_seconds="600")
        await it.settle()
        assert it.ready(KSERVICE, "svc") == "True"
        before = it.get(KSERVICE, "svc")
        changed = before["spec"] | {"template": {"spec": before["spec"]["template"]["spec"] | {"timeoutSeconds": 901}}}
        metadata = before["metadata"] | {"generation": before["metadata"]["generation"] + 1}
        it.cluster.put(KSERVICE, {**before, "spec": changed, "metadata": metadata})
        await it.settle(lambda: it.ready(KSERVICE, "svc") == "False")
        status = it.get(KSERVICE, "svc")["status"]["conditions"]
        assert any("timeoutSeconds: 901 is not allowed" in each.get("message", "") for each in status)
        assert it.names(REVISION) == ["svc-00001"]


@pytest.mark.parametrize(("initial", "most", "pods"), [("3", "0", 3), ("3", "2", 2), ("0", "0", 0)])
async def test_the_first_pods_of_a_revision(initial: str, most: str, pods: int) -> None:
    """`initial-scale` of the cluster says how many there are; its `max-scale` has the last word."""
    async with world() as it:
        say(it, SCALING, initial_scale=initial, max_scale=most)
        await it.settle()
        it.apply()
        await deployed(it, "svc-00001")
        assert it.get(DEPLOYMENT, "svc-00001-deployment")["spec"]["replicas"] == pods


async def test_a_slip_of_the_pen_is_told_once_and_changes_nothing() -> None:
    """By an event on the ConfigMap; of `config-autoscaler` it is the autoscaler that tells."""
    async with world() as it:
        say(it, DEFAULTS, revision_timeout_seconds="120")
        await it.settle()
        say(it, DEFAULTS, revision_timeout_seconds="2 minutes")
        say(it, SCALING, initial_scale="many")
        await it.settle(lambda: it.cluster.all(EVENT))
        it.apply()
        await deployed(it, "svc-00001")
        assert it.get(REVISION, "svc-00001")["spec"]["timeoutSeconds"] == 120
        told = [each for each in it.cluster.all(EVENT) if each["involvedObject"]["kind"] == "ConfigMap"]
        assert [(each["reason"], each["involvedObject"]["name"]) for each in told] == [
            ("InvalidConfiguration", DEFAULTS)
        ]
        assert "data[revision-timeout-seconds]: '2 minutes' is not allowed" in told[0]["message"]
