"""The process tree of `torpor up`, alive and dying: real processes, stand-ins for the services."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.local.up.tree import QUICK, READY, growing, stand_in

pytestmark = pytest.mark.slow


def test_services_start_in_order_and_stop_in_reverse(tmp_path: Path) -> None:
    """Who others need is ready before they start, and there until they have ended."""
    with growing(tmp_path, (stand_in("api"),), (stand_in("kubelet"), stand_in("door"))) as tree:
        tree.until_said(READY)
        assert tree.trace()[0] == "api starts"
        assert sorted(tree.trace()[1:]) == ["door starts", "kubelet starts"]
        tree.process.terminate()
        assert tree.ended() == 0
        assert tree.trace()[3:] == ["door stops", "kubelet stops", "api stops"]
        assert not tree.processes()
        assert tree.output.splitlines() == [READY, "torpor is stopping; Ctrl-C again stops it at once"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=["ctrl-c", "the-terminal-is-closed"])
def test_other_ways_to_ask_for_the_end(number: signal.Signals, tmp_path: Path) -> None:
    """Each of them stops it in order, with status 0."""
    with growing(tmp_path, (stand_in("api"),)) as tree:
        tree.until_said(READY)
        tree.process.send_signal(number)
        assert tree.ended() == 0
        assert tree.trace()[-1] == "api stops"


def test_ready_is_said_only_when_all_are(tmp_path: Path) -> None:
    """One that is not keeps the line back, and the tree can be stopped meanwhile."""
    with growing(tmp_path, (stand_in("api"),), (stand_in("kubelet", "--never-ready"),)) as tree:
        tree.until_traced("kubelet starts")
        tree.process.terminate()
        assert tree.ended() == 0
        assert READY not in tree.output
        assert tree.trace()[2:] == ["kubelet stops", "api stops"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives orphans to us")
@pytest.mark.parametrize("victim", ["front", "supervisor", "both"])
def test_nothing_survives_a_kill_9(victim: str, tmp_path: Path) -> None:
    """Neither the services nor, as long as one of the two above lives, what ran away from them."""
    worst = ["--runaway"] if victim != "both" else []
    with growing(tmp_path, (stand_in("api"),), (stand_in("kubelet", *worst),)) as tree:
        tree.until_said(READY)
        assert len(tree.processes()) == 4 + len(worst)
        supervisor = tree.supervisor()
        if victim != "supervisor":
            tree.process.kill()
        if victim != "front":
            supervisor.kill()
        status = tree.ended()
        tree.until(lambda: not tree.processes(), "the end of all")
        assert {"api stops", "kubelet stops"} <= set(tree.trace())
        if victim == "supervisor":
            assert status == 1
            assert "the supervisor was killed by signal 9; all that it ran has been stopped" in tree.output


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives orphans to us")
def test_what_ran_away_from_a_service_ends_with_the_tree(tmp_path: Path) -> None:
    """The last act is to kill what is left."""
    with growing(tmp_path, (stand_in("kubelet", "--runaway"),)) as tree:
        tree.until_said(READY)
        assert len(tree.processes()) == 4
        tree.process.terminate()
        assert tree.ended() == 0
        assert not tree.processes()


def test_a_service_that_cannot_start_says_why(tmp_path: Path) -> None:
    """Its last line is the error; what had started before is stopped."""
    said = "torpor kubelet: --data-dir: '/x' is not allowed"
    with growing(tmp_path, (stand_in("api"),), (stand_in("kubelet", "--say", said, "--end", "1"),)) as tree:
        assert tree.ended() == 1
        assert tree.output == "error: the kubelet did not start: --data-dir: '/x' is not allowed\n"
        assert tree.trace()[-1] == "api stops"
        assert not tree.processes()


def test_a_service_that_ends_without_a_word(tmp_path: Path) -> None:
    """Then its status is all there is to say."""
    with growing(tmp_path, (stand_in("api", "--end", "3"),)) as tree:
        assert tree.ended() == 1
        assert tree.output == "error: the api did not start: ended with status 3\n"


def test_a_service_that_does_not_get_ready_in_time(tmp_path: Path) -> None:
    """It is not waited for without end, and its log is named."""
    with growing(tmp_path, (stand_in("api", "--never-ready"),), patience=replace(QUICK, start_s=0.2)) as tree:
        assert tree.ended() == 1
        assert tree.output == f"error: the api was not ready within 0.2 s; {tmp_path}/logs/api.log says more\n"
        assert not tree.processes()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives orphans to us")
def test_a_service_that_crashes_is_started_again(tmp_path: Path) -> None:
    """And what its former life left behind is gone."""
    lives = tmp_path / "lives"
    with growing(tmp_path, (stand_in("api", "--crashes", "1", "--lives", str(lives), "--runaway"),)) as tree:
        tree.until(lambda: tree.trace() == ["api starts"] * 2 and lives.read_text() == "xx", "a second life")
        assert "the api was killed by signal 9 and is started again in 0.0 s" in tree.output
        assert len(tree.processes()) == 4
        tree.process.terminate()
        assert tree.ended() == 0


def test_a_service_that_keeps_crashing_ends_it_all(tmp_path: Path) -> None:
    """After so many tries; then the others are stopped and the status is 1."""
    crashing = stand_in("kubelet", "--crashes", "99", "--lives", str(tmp_path / "lives"))
    with growing(tmp_path, (stand_in("api"),), (crashing,)) as tree:
        assert tree.ended() == 1
        assert tree.trace() == ["api starts", *["kubelet starts"] * (1 + QUICK.tries), "api stops"]
        last = tree.output.splitlines()[-1]
        assert last.startswith(f"error: the kubelet was killed by signal 9, {QUICK.tries + 1} times in a row; ")


def test_a_service_that_does_not_end_is_ended(tmp_path: Path) -> None:
    """When its patience is over; that is said, and no failure of the tree."""
    with growing(tmp_path, (stand_in("api"),), (stand_in("door", "--deaf", patience_s=0.1),)) as tree:
        tree.until_said(READY)
        tree.process.terminate()
        assert tree.ended() == 0
        assert "the door did not end in time and is killed" in tree.output
        assert tree.trace()[-1] == "api stops"


def test_a_second_ctrl_c_hurries(tmp_path: Path) -> None:
    """Nobody's patience counts any more."""
    patience = replace(QUICK, hurry_s=0.1)
    stages = (stand_in("api"),), (stand_in("door", "--deaf", patience_s=600),)
    with growing(tmp_path, *stages, patience=patience) as tree:
        tree.until_said(READY)
        tree.process.send_signal(signal.SIGINT)
        tree.until_said("torpor is stopping")
        tree.process.send_signal(signal.SIGINT)
        assert tree.ended() == 0
        assert "the door did not end in time and is killed" in tree.output
        assert tree.trace()[-1] == "api stops"


def test_a_killed_front_leaves_no_time_either(tmp_path: Path) -> None:
    """Nobody waits for a drain any more."""
    patience = replace(QUICK, hurry_s=0.1)
    with growing(tmp_path, (stand_in("door", "--deaf", patience_s=600),), patience=patience) as tree:
        tree.until_said(READY)
        tree.process.kill()
        tree.until(lambda: not tree.processes(), "the end of all")


def test_output_is_kept_and_what_is_loud_is_shown(tmp_path: Path) -> None:
    """Everything in the service's own file; warnings, and what is no log line, on the terminal too."""
    quiet = '{"level": "info", "message": "all is well"}'
    loud = '{"level": "warning", "message": "the disk is nearly full"}'
    with growing(tmp_path, (stand_in("api", "--say", f"{quiet}\n{loud}"),)) as tree:
        tree.until_said(READY)
        assert (tmp_path / "logs/api.log").read_text() == f"{quiet}\n{loud}\n"
        assert tree.output.splitlines() == ["api: the disk is nearly full", READY]


def test_a_front_without_a_reader_still_stops_in_order(tmp_path: Path) -> None:
    """`torpor up | head -1`: a line that nobody reads is lost, and nothing else."""
    with growing(tmp_path, (stand_in("api"),)) as tree:
        tree.until_said(READY)
    command = [sys.executable, "-m", "tests.local.up.tree", "front", str(tree.plan)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        assert process.stdout.readline().decode().strip() == READY
        process.stdout.close()
        process.terminate()
        assert process.wait(30) == 0
    assert tree.trace()[-1] == "api stops"
