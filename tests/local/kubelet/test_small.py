"""The small parts: restarts, images, ports, files, volumes, control groups."""

from __future__ import annotations

import contextlib
import itertools
import socket
from fractions import Fraction
from pathlib import Path

import pytest

from torpor.errors import InvalidInputError, UnavailableError
from torpor.local.kubelet import images
from torpor.local.kubelet.environment import ConfigError
from torpor.local.kubelet.files import PodFiles, remove_strangers, shorten, variable_of
from torpor.local.kubelet.limits import Limits, enforced
from torpor.local.kubelet.machine import inherited
from torpor.local.kubelet.ports import Ports
from torpor.local.kubelet.restarts import Backoff, runs_again, words
from torpor.local.kubelet.volumes import write_data
from torpor.spec.pod import Container, DataVolume, Resources, VolumeItem

POD = {"metadata": {"name": "p", "namespace": "ns", "uid": "u"}}


# --- restarts ------------------------------------------------------------------------------------------------------


def test_the_first_restart_is_at_once_then_ten_seconds_doubling_to_five_minutes() -> None:
    """Kubernetes' back-off."""
    backoff, delays = Backoff(), []
    for _ in range(8):
        backoff = backoff.after(1.0)
        delays.append(backoff.delay_s)
    assert delays == [0, 10, 20, 40, 80, 160, 300, 300]
    assert [words(each) for each in delays[1:]] == ["10s", "20s", "40s", "1m20s", "2m40s", "5m0s", "5m0s"]


def test_ten_minutes_of_running_are_forgiveness() -> None:
    """What happened before counts no more."""
    backoff = Backoff(ends=6).after(600.0)
    assert backoff.delay_s == 0
    assert Backoff(ends=6).after(599.0).delay_s == 300


@pytest.mark.parametrize(
    ("policy", "after_success", "after_error"),
    [
        pytest.param("Always", True, True, id="always"),
        pytest.param("OnFailure", False, True, id="on-failure"),
        pytest.param("Never", False, False, id="never"),
    ],
)
def test_runs_again(policy: str, after_success: bool, after_error: bool) -> None:  # noqa: FBT001
    """By restartPolicy."""
    assert (runs_again(policy, 0), runs_again(policy, 1)) == (after_success, after_error)  # type: ignore[arg-type]


# --- images --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        pytest.param(Container("c", "torpor/predictor"), ("py", "-m", "predictor"), id="built-in"),
        pytest.param(Container("c", "torpor/predictor:v1"), ("py", "-m", "predictor"), id="with-a-tag"),
        pytest.param(Container("c", "torpor/predictor", ("sh",)), ("sh",), id="a-command-comes-first"),
        pytest.param(Container("c", "other/predictor"), None, id="an-image-that-would-have-to-be-pulled"),
        pytest.param(Container("c", "other/predictor", ("sh", "-c")), ("sh", "-c"), id="and-one-that-brings-a-command"),
    ],
)
def test_command_of(container: Container, expected: tuple[str, ...] | None) -> None:
    """What an image stands for."""
    assert images.command_of(container, "py") == expected


def test_why_not_says_what_to_do() -> None:
    """The image, the reason, the way out."""
    text = images.why_not(Container("c", "nginx"))
    assert '"nginx"' in text
    assert "needs a `command`" in text


def test_the_environment_of_containers_has_nothing_of_ours_but_the_way_around() -> None:
    """PATH begins with this installation; tokens, credentials and settings of ours stay out."""
    made = inherited(
        {"PATH": "/bin", "HOME": "/h", "TORPOR_TOKEN": "t", "AWS_SECRET_ACCESS_KEY": "s", "KUBECONFIG": "k"}
    )
    assert set(made) == {"PATH", "HOME"}
    assert made["PATH"].endswith(":/bin")
    assert Path(made["PATH"].split(":")[0], "python3").exists()


# --- ports ---------------------------------------------------------------------------------------------------------


def three_free_ports() -> int:
    """Return the middle one of three neighbours that are free."""
    for first in range(33, 20000, 7):
        port = 10000 + first
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for each in (port - 1, port, port + 1):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", each))
            return port
    raise AssertionError("no three free ports in a row on this machine")


def test_ports_are_each_others_and_nobody_elses() -> None:
    """None twice, none that somebody listens on, and none when all are out."""
    occupied = three_free_ports()
    with socket.create_server(("127.0.0.1", occupied)):
        ports = Ports(occupied - 1, occupied + 1)
        given = {ports.take(), ports.take()}
        assert given == {occupied - 1, occupied + 1}
        with pytest.raises(UnavailableError, match=str(occupied - 1)):
            ports.take()
        ports.give_back(occupied + 1)
        assert ports.take() == occupied + 1


def test_a_port_that_was_given_back_is_not_the_next_one() -> None:
    """Somebody may still mean its last owner."""
    ports = Ports(23000, 23999)
    seen = []
    for _ in range(20):
        port = ports.take()
        ports.give_back(port)
        seen.append(port)
    assert len(set(seen)) == 20


# --- files ---------------------------------------------------------------------------------------------------------


def test_two_logs_of_a_container_are_kept(tmp_path: Path) -> None:
    """This run's and the last one's, as `kubectl logs --previous` needs them; the next run's number is known."""
    files = PodFiles(tmp_path, POD)
    for run in range(4):
        files.prepare("c", run)
        files.log("c", run).write_text("x")
        files.message("c", run).write_text("x")
    assert sorted(path.name for path in (tmp_path / "ns_p_u" / "c").iterdir()) == [
        "2.log",
        "2.message",
        "3.log",
        "3.message",
        "work",
    ]
    assert files.next_run("c") == 4
    assert files.next_run("other") == 0


def test_last_words(tmp_path: Path) -> None:
    """The message where there is one, else, if asked for, the last 80 lines and 2048 bytes of the log."""
    files = PodFiles(tmp_path, POD)
    files.prepare("c", 0)
    assert files.last_words("c", 0, from_log=True) == ""
    files.log("c", 0).write_text("".join(f"{number}\n" for number in range(200)))
    assert files.last_words("c", 0, from_log=False) == ""
    assert files.last_words("c", 0, from_log=True).splitlines() == [str(number) for number in range(120, 200)]
    files.log("c", 0).write_text("x" * 5000)
    assert len(files.last_words("c", 0, from_log=True)) == 2048
    files.message("c", 0).write_text("fetch: no such bucket")
    assert files.last_words("c", 0, from_log=True) == "fetch: no such bucket"


def test_a_log_over_its_bound_keeps_its_last_lines(tmp_path: Path) -> None:
    """Cut at the beginning of a line; who appends to it goes on at its end."""
    path = tmp_path / "0.log"
    with path.open("ab", buffering=0) as writer:
        for number in itertools.count():
            writer.write(f"line {number:06}\n".encode())
            if writer.tell() > 2000:
                break
        assert shorten(path, 2000)
        writer.write(b"after\n")
    lines = path.read_text().splitlines()
    assert lines[-2:] == [f"line {number:06}", "after"]
    assert all(len(line) == len("line 000000") for line in lines[:-1])
    assert 500 < path.stat().st_size <= 1010
    assert not shorten(path, 2000)


def test_folders_of_pods_that_are_gone_are_removed(tmp_path: Path) -> None:
    """Those of others stay."""
    for name in ("ns_p_u", "ns_p_old"):
        (tmp_path / name / "c").mkdir(parents=True)
    remove_strangers(tmp_path, [POD])
    assert [path.name for path in tmp_path.iterdir()] == ["ns_p_u"]


# --- volumes -------------------------------------------------------------------------------------------------------


def volume(*items: tuple[str, str], optional: bool = False, holder: str = "configMap") -> DataVolume:
    made = tuple(VolumeItem(key, path) for key, path in items)
    return DataVolume("v", holder, "source", made, optional, 0o644)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param(volume(), {"a": "1", "b": "2"}, id="every-key-is-a-file"),
        pytest.param(volume(("a", "sub/x")), {"sub/x": "1"}, id="those-that-are-named-where-they-are-wanted"),
        pytest.param(volume(("none", "x"), optional=True), {}, id="an-optional-key"),
    ],
)
def test_write_data(tmp_path: Path, wanted: DataVolume, expected: dict[str, str]) -> None:
    """A ConfigMap as files."""
    write_data(tmp_path / "v", wanted, {"a": b"1", "b": b"2"})
    files = [path for path in (tmp_path / "v").rglob("*") if path.is_file()]
    assert {str(path.relative_to(tmp_path / "v")): path.read_text() for path in files} == expected


def test_a_secret_is_for_its_owner_only(tmp_path: Path) -> None:
    """Other users of the machine do not read it."""
    write_data(tmp_path / "v", volume(holder="secret"), {"a": b"1"})
    assert (tmp_path / "v" / "a").stat().st_mode & 0o077 == 0


def test_a_volume_keeps_inside(tmp_path: Path) -> None:
    """A missing key and a path that leads out are refused."""
    with pytest.raises(ConfigError, match="references non-existent configMap key: none"):
        write_data(tmp_path / "v", volume(("none", "x")), {})
    with pytest.raises(InvalidInputError, match="inside the volume"):
        write_data(tmp_path / "v", volume(("a", "../x")), {"a": b"1"})


def test_variable_of() -> None:
    """A name that shells can say."""
    assert variable_of("model-store.v2") == "TORPOR_VOLUME_MODEL_STORE_V2"


# --- control groups ------------------------------------------------------------------------------------------------

RESOURCES = Resources(limits=(("cpu", Fraction(1, 2)), ("memory", Fraction(1 << 20))))


def tree(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text("")
    return folder


def test_version_2_makes_a_sibling_of_our_own_group(tmp_path: Path) -> None:
    """A group with processes cannot have limited children, so ours is beside it, and hands both controllers down."""
    slice_ = tree(tmp_path / "cg" / "user.slice", "cgroup.subtree_control")
    (slice_ / "cgroup.controllers").write_text("cpu memory pids\n")
    tree(slice_ / "session.scope")
    mounts, own = tmp_path / "mountinfo", tmp_path / "cgroup"
    mounts.write_text(f"30 23 0:26 / {tmp_path / 'cg'} rw - cgroup2 cgroup2 rw\n")
    own.write_text("0::/user.slice/session.scope\n")
    with enforced(mounts, own) as limits:
        assert {folder.parent for folder in limits.trees.values()} == {slice_}
        assert set(limits.trees) == {"cpu", "memory"}
        assert limits.missing(RESOURCES) == ()
    assert not any(path.name.startswith("torpor-") for path in slice_.iterdir())


def test_limits_are_written_in_the_version_that_is_there(tmp_path: Path) -> None:
    """Only files that the kernel offers are written."""
    group = tmp_path / "one"
    tree(group, "cpu.max", "memory.max", "memory.oom.group", "cgroup.procs", "memory.events")
    made = Limits({"cpu": tmp_path, "memory": tmp_path}).make("one", RESOURCES)
    assert made is not None
    assert made.procs == (group / "cgroup.procs",)
    assert (group / "cpu.max").read_text() == "50000 100000"
    assert (group / "memory.max").read_text() == str(1 << 20)
    assert not (group / "memory.limit_in_bytes").exists()
    assert not made.oom_killed()
    (group / "memory.events").write_text("oom 1\noom_kill 1\n")
    assert made.oom_killed()


def test_without_control_groups_what_is_missing_is_named(tmp_path: Path) -> None:
    """And nothing is made."""
    with enforced(tmp_path / "none", tmp_path / "none") as limits:
        assert limits.missing(RESOURCES) == ("cpu", "memory")
        assert limits.missing(Resources()) == ()
        assert limits.make("one", RESOURCES) is None
