"""The `torpor` command against a running laptop."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import orjson
import pytest
import yaml

from tests.support.laptop import Laptop, wait_for
from tests.support.manifests import knative_service

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def echo(laptop: Laptop) -> Iterator[str]:
    """A service called `echo`, applied and ready."""
    done = laptop.torpor("apply", "-f", "-", "--wait", stdin=yaml.safe_dump(knative_service("echo")))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "service.serving.knative.dev/echo created\n"
    assert "service.serving.knative.dev/echo: ready" in done.stderr
    yield "echo"
    laptop.torpor("delete", "ksvc", "echo")


def test_apply_says_what_happened(laptop: Laptop, echo: str) -> None:
    """`unchanged` when nothing is asked for that is not so already, `configured` when something is."""
    same = knative_service(echo)
    changed = knative_service(echo, env={"A": "1"})
    for obj, word in ((same, "unchanged"), (changed, "configured"), (changed, "unchanged"), (same, "configured")):
        done = laptop.torpor("apply", "-f", "-", stdin=yaml.safe_dump(obj))
        assert done.stdout == f"service.serving.knative.dev/echo {word}\n", done.stderr


def test_get_in_every_form(laptop: Laptop, echo: str) -> None:
    """The server's table, names, YAML and JSON; one object or many; all namespaces."""
    header, row = laptop.torpor("get", "ksvc", echo).stdout.splitlines()
    assert header.split()[:2] == ["NAME", "URL"]
    assert row.split()[0] == echo
    assert laptop.torpor("get", "ksvc/echo", "-o", "name").stdout == "service.serving.knative.dev/echo\n"
    assert yaml.safe_load(laptop.torpor("get", "ksvc", echo, "-o", "yaml").stdout)["metadata"]["name"] == echo
    listed = orjson.loads(laptop.torpor("get", "ksvc", "-o", "json").stdout)
    assert echo in [each["metadata"]["name"] for each in listed["items"]]
    assert laptop.torpor("get", "pods", "-A").stdout.splitlines()[0].split()[:2] == ["NAMESPACE", "NAME"]
    several = laptop.torpor("get", "ksvc,configurations,routes").stdout
    assert "configuration.serving.knative.dev/echo" in several
    none = laptop.torpor("get", "secrets", "-n", "knative-serving")
    assert (none.returncode, none.stdout) == (0, "")
    assert "There are none" in none.stderr


def test_get_watch_shows_changes_as_they_come(laptop: Laptop, echo: str) -> None:
    """One header, the rows of now, then a row per change."""
    watching = subprocess.Popen(
        [sys.executable, "-m", "torpor.cli.main", "get", "configmaps", "-w"],
        env=laptop.env | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout is not None
    try:
        laptop.kubectl("create", "configmap", f"{echo}-watched")
        lines = iter(watching.stdout.readline, "")
        assert any(f"{echo}-watched" in line for line in lines)
    finally:
        watching.terminate()
        watching.wait()
        watching.stdout.close()
        laptop.kubectl("delete", "configmap", f"{echo}-watched")


def test_predict_shows_a_wake_and_gives_the_answer(laptop: Laptop, echo: str) -> None:
    """What happens goes to stderr, the answer to stdout; `--json` has both."""
    laptop.wait_zero(echo)
    done = laptop.torpor("predict", echo, "--path", "/?n=5")
    assert done.returncode == 0, done.stderr
    assert orjson.loads(done.stdout)["n"] == "5"
    assert "echo is at zero; waking it" in done.stderr
    assert "start" in done.stderr
    awake = laptop.torpor("predict", echo, "--path", "/?n=6", "--json")
    document = orjson.loads(awake.stdout)
    assert (document["status"], document["answer"]["n"], document["stages"]) == (200, "6", {})
    assert awake.stderr == ""


def test_logs_of_a_service_are_those_of_its_pods(laptop: Laptop, echo: str) -> None:
    """By the service's name or the pod's; the last lines; and none where nothing is."""
    for number in range(3):
        laptop.torpor("predict", echo, "--path", f"/?n=log-{number}")
    by_service = laptop.torpor("logs", echo)
    assert "got /?n=log-1" in by_service.stdout, by_service.stderr
    assert laptop.torpor("logs", echo, "--tail", "1").stdout == "got /?n=log-2\n"
    pods = laptop.list("pods", f"serving.knative.dev/service={echo}")
    assert laptop.torpor("logs", pods[-1]["metadata"]["name"]).stdout.endswith("got /?n=log-2\n")
    absent = laptop.torpor("logs", "nobody")
    assert absent.returncode == 1
    assert "there is no InferenceService or Knative Service 'nobody'" in absent.stderr


def test_logs_follow_a_service_from_before_its_first_pod(laptop: Laptop, echo: str) -> None:
    """`-f` on a sleeping service waits, and shows the pod that a request brings."""
    laptop.wait_zero(echo)
    following = subprocess.Popen(
        [sys.executable, "-m", "torpor.cli.main", "logs", "-f", echo],
        env=laptop.env | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert following.stdout is not None
    assert following.stderr is not None
    try:
        assert "waiting for a pod" in following.stderr.readline()
        laptop.torpor("predict", echo, "--path", "/?n=followed")
        assert any("got /?n=followed" in line for line in iter(following.stdout.readline, ""))
    finally:
        following.terminate()
        following.wait()
        following.stdout.close()
        following.stderr.close()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        pytest.param(("get", "ksvc", "nobody"), "nobody", id="get-what-is-not-there"),
        pytest.param(("get", "zebras"), "the cluster serves no kind 'zebras'", id="a-kind-that-is-none"),
        pytest.param(("delete", "ksvc", "nobody"), "nobody", id="delete-what-is-not-there"),
        pytest.param(("predict", "nobody", "-d", "[1]"), "there is no InferenceService", id="ask-nobody"),
        pytest.param(("logs", "pod/nobody"), "there is no pod 'nobody'", id="logs-of-no-pod"),
        pytest.param(("apply", "-f", "nowhere.yaml"), "there is no file or folder", id="apply-no-file"),
    ],
)
def test_failures_are_one_line(laptop: Laptop, args: tuple[str, ...], says: str) -> None:
    """Exit status 1, what was not found, no traceback."""
    done = laptop.torpor(*args)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert says in line


def test_delete_waits_until_it_is_gone(laptop: Laptop) -> None:
    """With `--wait` the object is not there any more, and asked twice it can be content."""
    laptop.apply(knative_service("short-lived"))
    done = laptop.torpor("delete", "ksvc", "short-lived", "--wait", "--timeout", "60s")
    assert (done.returncode, done.stdout) == (0, "service.serving.knative.dev/short-lived deleted\n"), done.stderr
    assert laptop.kubectl("get", "ksvc", "short-lived").returncode == 1
    assert laptop.torpor("delete", "ksvc", "short-lived", "--ignore-not-found").returncode == 0
    wait_for(lambda: not laptop.list("pods", "serving.knative.dev/service=short-lived"), 60, "its pods are gone")


def test_apply_wait_says_why_it_is_not_ready(laptop: Laptop) -> None:
    """The last thing that the object said is the error."""
    obj = knative_service("never")
    obj["spec"]["template"]["spec"]["containers"][0]["command"] = ["false"]
    done = laptop.torpor("apply", "-f", "-", "--wait", "--timeout", "8s", stdin=yaml.safe_dump(obj))
    assert done.returncode == 1
    assert "is not ready after 8 s: " in done.stderr
    laptop.torpor("delete", "ksvc", "never")
