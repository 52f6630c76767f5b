"""The parent of all containers' processes: starts them, reaps them, and outlives a kubelet that is killed.

The kubelet speaks to it through its standard input, a socket, in lines of JSON. When that closes, however the kubelet
ended, everything that was started here is killed, whatever it has started in turn: what loses its parent becomes this
process's child. It is run by its path and without site packages, because forking a small process costs a third of a
millisecond and forking a kubelet ten: only the standard library may be imported.

    {"start": 1, "argv": […], "env": {…}, "cwd": …, "log": …, "enter": […], "mark": …} -> {"started": 1, "pid": 4711}
                                                     or {"started": 1, "what": "exec" | "chdir" | …, "errno": 2}
    {"signal": 15, "pid": 4711}                      to the process group; nothing is said back
                                                     {"exited": 4711, "status": 0}  after the last of its group
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import sys
import time
from typing import Any

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
SWEEP_LIMIT_S = 5.0
"""How long the end of a container waits for what it left behind, where the kernel does not let that go."""
IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""It ends with the kubelet, not before."""
CHUNK = 1 << 20
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class Shim:
    """All children, by process id."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._received = b""
        # Of each process: what its environment has and no other's. Of each that has ended: status, and since when.
        self._marks: dict[int, bytes] = {}
        self._ended: dict[int, tuple[int, float]] = {}

    def serve(self) -> None:
        """Return when the kubelet is gone and nothing that it started is left."""
        wakeup, waker = socket.socketpair()
        for end in (wakeup, waker):
            end.settimeout(0)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        while self._receive(wakeup):
            self._reap()
            self._sweep()
        self._bury()

    def _receive(self, wakeup: socket.socket) -> bool:
        """Wait for something to do, and do what was asked. False: nobody will ask any more."""
        readable, _, _ = select.select([self._line, wakeup], [], [], 0.05 if self._ended else None)
        if wakeup in readable:
            wakeup.recv(4096)
        if self._line not in readable:
            return True
        try:
            part = self._line.recv(CHUNK)
        except ConnectionError:
            return False
        *lines, self._received = (self._received + part).split(b"\n")
        for line in lines:
            self._obey(json.loads(line))
        return bool(part)

    def _obey(self, order: dict[str, Any]) -> None:
        if "start" in order:
            self._say({"started": order["start"], **self._start(order)})
        elif order["pid"] in self._marks:
            _kill_group(order["pid"], order["signal"])

    def _say(self, message: dict[str, Any]) -> None:
        try:
            self._line.sendall(json.dumps(message).encode() + b"\n")
        except OSError:  # the kubelet is gone, which the next read says too
            return

    # --- start ---------------------------------------------------------------------------------------------------

    def _start(self, order: dict[str, Any]) -> dict[str, Any]:
        """Fork and exec; returns the process id, or what failed."""
        reader, writer = os.pipe()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _become(order, parent, writer)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            failure = pipe.read()  # ends with the exec, which closes the other end
        if not failure:
            self._marks[pid] = order["mark"].encode()
            return {"pid": pid}
        os.waitpid(pid, 0)
        what, _, number = failure.decode().partition(" ")
        return {"what": what, "errno": int(number)}

    # --- end -----------------------------------------------------------------------------------------------------

    def _reap(self) -> None:
        """Collect all that have ended, those too that we only inherited."""
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            pid = found.si_pid
            if pid in self._marks:
                _kill_group(pid, signal.SIGKILL)  # now: while its leader is a zombie, the number is nobody else's
            _, status = os.waitpid(pid, 0)
            if pid in self._marks:
                self._ended[pid] = (os.waitstatus_to_exitcode(status), time.monotonic())

    def _sweep(self) -> None:
        """Kill what those that have ended left behind in other groups, then report them."""
        for pid, (status, since) in list(self._ended.items()):
            left = [child for child in self._strangers() if _has(child, self._marks[pid])]
            for child in left:
                _kill(child)  # its own children become ours, and are found when it is reaped
            if not left or time.monotonic() - since > SWEEP_LIMIT_S:
                del self._ended[pid], self._marks[pid]
                self._say({"exited": pid, "status": status})

    def _strangers(self) -> list[int]:
        return [pid for pid in _children() if pid not in self._marks]

    def _bury(self) -> None:
        """Kill everything."""
        for pid in self._marks:
            _kill_group(pid, signal.SIGKILL)
        while children := _children():
            for pid in children:
                _kill(pid)
            self._reap()
            time.sleep(0.001)


def _become(order: dict[str, Any], parent: int, writer: int) -> None:
    """In the child: turn into the program that is wanted. Does not return."""
    what = "start"
    try:
        if _LIBC is not None:
            _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:  # it ended before we could ask
                os._exit(1)
        os.setsid()
        for path in order["enter"]:
            what = "cgroup"
            descriptor = os.open(path, os.O_WRONLY)
            os.write(descriptor, b"0")
            os.close(descriptor)
        what = "log"
        output = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(source, target)
        what = "chdir"
        os.chdir(order["cwd"])
        signal.set_wakeup_fd(-1)
        for number in (*IGNORED, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):  # what is ignored stays so over exec
            signal.signal(number, signal.SIG_DFL)
        what = "exec"
        os.execvpe(order["argv"][0], order["argv"], order["env"])  # noqa: S606
    except OSError as error:
        os.write(writer, f"{what} {error.errno or 0}".encode())
    except ValueError:  # a NUL in an argument
        os.write(writer, f"{what} 22".encode())
    finally:
        os._exit(127)


def _children() -> list[int]:
    me = os.getpid()
    try:
        with open(f"/proc/self/task/{me}/children") as listed:  # noqa: PTH123  # pathlib is the largest import here
            return [int(pid) for pid in listed.read().split()]
    except FileNotFoundError:  # a kernel without it, or none of Linux
        return _children_of(me)


def _children_of(parent: int) -> list[int]:
    """Look through all processes; where there is no /proc, nothing is found, and PDEATHSIG does not exist either."""
    found = []
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():  # noqa: PTH112, PTH208
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/stat") as stat:  # noqa: PTH123
                    fields = stat.read().rpartition(")")[2].split()
            except OSError:  # it ended meanwhile
                continue
            if int(fields[1]) == parent:
                found.append(int(name))
    return found


def _has(pid: int, mark: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as environment:  # noqa: PTH123
            return mark in environment.read()
    except OSError:
        return False


def _kill_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):  # the latter: macOS, where only zombies are left
        return


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def main() -> None:
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    with socket.socket(fileno=os.dup(0)) as line:
        Shim(line).serve()


if __name__ == "__main__":
    main()
