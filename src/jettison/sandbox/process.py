"""One child process that cannot outlive this one: started, listened to, ended.

The child is the first process of a PID namespace of its own, so the kernel ends all that it started as
soon as it is gone; and it is told to die with the thread that started it. Both
hold even when this process is killed by SIGKILL: until it has been told, the child waits to be let on
(`GATE`).
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import threading
from collections.abc import Callable, Mapping, Sequence

from jettison import kernel
from jettison.dataclass import dataclass
from jettison.errors import Cancelled, SandboxError

GATE = ("-c", 'echo >&4 && read -r on <&3 && exec "$@" 3<&- 4>&-', "gate")
"""The arguments of a shell that goes on to what follows once `start` answers, and ends if that is gone."""

PROGRAM = "/proc/self/fd/5"
"""Where a child finds the open file that `start` was given as `program`."""

_TICK_MS = 50
"""How often `cancel` is looked at."""

_HOLD_TICKS = 40
"""For so many ticks without output, output that may be a complaint of the runtime is held back."""

_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Child:
    """A running child. `out` and `err` are the read ends of its pipes, or -1 when it has our own streams.

    `over` is to be set after its end: the thread that started it waits for that.
    """

    pid: int
    over: threading.Event
    out: int = -1
    err: int = -1


@dataclass(frozen=True, slots=True)
class Ending:
    """How a child ended. `held` is all that it wrote, if to 2 and just before its end; not passed on."""

    status: int
    cancelled: bool
    held: bytes = b""


def start(
    argv: Sequence[str],
    environment: Mapping[str, str],
    *,
    piped: bool,
    own_pids: bool,
    program: int = -1,
    path: str = "",
    files: Sequence[tuple[int, int]] = (),
    started: Callable[[int], None] | None = None,
    calls: bytes = b"",
) -> Child:
    """Start a program by its absolute path: `argv[0]`, or `path`. With `piped`, it reads nothing and has its
    own session.

    `own_pids` makes it the first process of a new PID namespace; `argv` has to pass a `GATE` then.
    `program` is a file, open as number 6 or above, that the child has as `PROGRAM`. `files` are others,
    open as number 10 or above, each with the number below that the child knows it by. `started` is
    called with the child's pid while that waits at the gate. `calls` is a filter for the system calls of the
    child and its children, with `own_pids` only. Raises OSError, and what `started` raises.
    """
    over, command = threading.Event(), [path or argv[0], *argv]
    given: list[tuple[int | str, ...]] = [(os.POSIX_SPAWN_DUP2, program, 5)] if program >= 0 else []
    given += [(os.POSIX_SPAWN_DUP2, ours, theirs) for ours, theirs in files]
    if not piped:
        return Child(_spawn(command, environment, given, own_pids, False, over, started, calls), over)
    out, out_write = os.pipe()
    err, err_write = os.pipe()
    actions: list[tuple[int | str, ...]] = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, out_write, 1),
        (os.POSIX_SPAWN_DUP2, err_write, 2),
        *given,  # last, as one of the pipes may have its number
    ]
    try:
        pid = _spawn(command, environment, actions, own_pids, True, over, started, calls)
    except BaseException:
        os.close(out)
        os.close(err)
        raise
    finally:
        os.close(out_write)
        os.close(err_write)
    return Child(pid, over, out, err)


def _spawn(
    command: Sequence[str],
    environment: Mapping[str, str],
    actions: list[tuple[int | str, ...]],
    own_pids: bool,
    own_session: bool,
    over: threading.Event,
    started: Callable[[int], None] | None,
    calls: bytes,
) -> int:
    """Start a child, with `own_pids` from a thread of its own. `command` is a path, then all of argv.

    That thread cannot get back to the outer PID namespace (not even with setns(2), inside a
    user namespace), and has to live as long as the child, which is told to die with it.
    """
    if not own_pids:
        pid = _posix_spawn(command, environment, actions, own_session)
        _tell(started, pid)
        return pid
    pids: list[int] = []
    errors: list[BaseException] = []
    ready, told = threading.Event(), threading.Event()

    def body() -> None:
        try:
            kernel.unshare(kernel.CLONE_NEWPID)
            if calls:
                kernel.filter_calls(calls)
            with _Gate() as gate:
                pids.append(_posix_spawn(command, environment, [*actions, *gate.actions()], own_session))
                ready.set()
                told.wait()
                gate.let_on()
        except BaseException as error:
            errors.append(error)
            return
        finally:
            ready.set()
        over.wait()

    threading.Thread(target=body, name="start of a step", daemon=True).start()
    ready.wait()
    if errors:
        raise errors[0]
    try:
        _tell(started, pids[0])
    except BaseException:
        over.set()
        raise
    finally:
        told.set()
    return pids[0]


def _tell(started: Callable[[int], None] | None, pid: int) -> None:
    """Call `started`; the child is ended when that raises."""
    if started is None:
        return
    try:
        started(pid)
    except BaseException:
        kill(pid)
        _reap(pid)
        raise


class _Gate:
    """Two pipes: the child says on one that it will die with us, and waits on the other for leave to go on.

    When this process is killed before that, the child reads an end of file instead.
    """

    def __enter__(self) -> _Gate:
        self._asked, asks = os.pipe()
        hears, self._answer = os.pipe()
        # Out of the way of the numbers that the child knows them by.
        self._theirs = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (hears, asks)]
        os.close(hears)
        os.close(asks)
        return self

    def actions(self) -> list[tuple[int | str, ...]]:
        """What gives the child its ends."""
        hears, asks = self._theirs
        return [(os.POSIX_SPAWN_DUP2, hears, 3), (os.POSIX_SPAWN_DUP2, asks, 4)]

    def let_on(self) -> None:
        """Wait for the child's question and answer it. Nothing happens when it has ended."""
        self._close_theirs()
        if os.read(self._asked, 1):
            try:
                os.write(self._answer, b"\n")
            except BrokenPipeError:
                pass

    def _close_theirs(self) -> None:
        while self._theirs:
            os.close(self._theirs.pop())

    def __exit__(self, *_: object) -> None:
        self._close_theirs()
        os.close(self._asked)
        os.close(self._answer)


def _posix_spawn(
    command: Sequence[str],
    environment: Mapping[str, str],
    actions: list[tuple[int | str, ...]],
    own_session: bool,
) -> int:
    return os.posix_spawn(
        command[0],
        list(command[1:]),
        environment,
        file_actions=actions,
        setsid=own_session,
        setsigmask=(),
        # Python ignores SIGPIPE, and nohup or a script perhaps more; a step must not inherit that.
        setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
    )


def finish(
    child: Child,
    output: Callable[[int, bytes], None],
    cancel: threading.Event,
    kill: Callable[[int], None],
    suspect: Callable[[bytes], bool],
) -> Ending:
    """Pass the child's output on until it ends; reap it and close its pipes.

    Its first output is held back if it goes to 2 and `suspect` says that it may come from the
    runtime. When `cancel` is set, or `output` raises, `kill(pid)` is called first.
    """
    listener = _Listener(output, suspect)
    try:
        cancelled = _listen(child, listener, cancel)
        if cancelled:
            kill(child.pid)
        status = _reap(child.pid)
        if not cancelled:
            for stream, descriptor in ((1, child.out), (2, child.err)):
                _drain(descriptor, stream, listener)
        return Ending(status, cancelled, listener.held)
    except BaseException:
        kill(child.pid)
        _reap(child.pid)
        raise
    finally:
        child.over.set()
        for descriptor in (child.out, child.err):
            if descriptor >= 0:
                os.close(descriptor)


class _Listener:
    """Passes output on, but for what may be the runtime's own complaint."""

    def __init__(self, output: Callable[[int, bytes], None], suspect: Callable[[bytes], bool]) -> None:
        self._output = output
        self._suspect = suspect
        self._first = True
        self._ticks = 0
        self.held = b""

    def take(self, stream: int, data: bytes) -> None:
        if self._first and stream == 2 and self._suspect(data):
            self._first = False
            self.held = data
            return
        self.release()
        self._output(stream, data)

    def tick(self) -> None:
        """Nothing came for a while."""
        self._ticks += 1
        if self._ticks > _HOLD_TICKS:
            self.release()

    def release(self) -> None:
        self._first = False
        if self.held:
            held, self.held = self.held, b""
            self._output(2, held)


def _listen(child: Child, listener: _Listener, cancel: threading.Event) -> bool:
    """Read until the child has ended. True: `cancel` came first."""
    poll = select.poll()
    ended = os.pidfd_open(child.pid)
    streams = {child.out: 1, child.err: 2}
    try:
        for descriptor in (ended, *streams):
            if descriptor >= 0:
                os.set_blocking(descriptor, False)
                poll.register(descriptor, select.POLLIN)
        while not cancel.is_set():
            ready = {descriptor for descriptor, _ in poll.poll(_TICK_MS)}
            for descriptor in sorted(ready - {ended}):
                if not _pass_on(descriptor, streams[descriptor], listener):
                    poll.unregister(descriptor)
            if ended in ready:
                return False
            if not ready:
                listener.tick()
        return True
    finally:
        os.close(ended)


def _pass_on(descriptor: int, stream: int, listener: _Listener) -> bool:
    """Pass one chunk on. False at the end of the stream."""
    try:
        data = os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return True
    if data:
        listener.take(stream, data)
    return bool(data)


def _drain(descriptor: int, stream: int, listener: _Listener) -> None:
    """What is still in a pipe whose writers are gone; one that has escaped is not waited for."""
    while descriptor >= 0:
        try:
            data = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return
        if not data:
            return
        listener.take(stream, data)


def _reap(pid: int) -> int:
    """Wait for the end of a child; 128 + n for signal n."""
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def kill(pid: int) -> None:
    """SIGKILL, if it is still there. Only for children that were not waited for yet."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def may_start(cancel: threading.Event, problem: str, hint: str | None = None) -> None:
    """Raise Cancelled for a build that was stopped, and SandboxError where there is a problem."""
    if cancel.is_set():
        raise Cancelled("the build was cancelled")
    if problem:
        raise SandboxError(problem, hint=hint)
