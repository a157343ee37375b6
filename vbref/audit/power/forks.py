"""Run many small tasks, each in a forked copy of this process that already has everything imported."""

import math
import os
import pickle
import resource
import select
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

_MEMORY = 8 * 2**30
_PATIENCE = 30.0  # by the clock, for one that sleeps or a machine that is busy
TIMED_OUT = "ran past its time limit"
DIED = "the process died"


@dataclass
class Task:
    """What to run, and for how many seconds of processor time at most. The work returns what pickles."""

    name: Any
    work: Callable[[], Any]
    limit: float


@dataclass
class _Child:
    task: Task
    pid: int
    pipe: int
    deadline: float
    data: bytes = b""


def limit_cpu(seconds: float) -> None:
    """Give this process so many seconds of processor time from now; past them it ends, as TIMED_OUT."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


def run_all(tasks: Iterable[Task], jobs: int) -> Iterator[tuple[Task, Any]]:
    """Yield each task with its result, as they end: what the work returned, or TIMED_OUT, or DIED."""
    waiting, running = iter(tasks), dict[int, _Child]()
    while True:
        while len(running) < jobs and (task := next(waiting, None)):
            child = _start(task)
            running[child.pipe] = child
        if not running:
            return
        soonest = min(child.deadline for child in running.values())
        ready, _, _ = select.select(list(running), [], [], max(0.0, soonest - time.monotonic()))
        for pipe in ready:
            chunk = os.read(pipe, 1 << 16)
            running[pipe].data += chunk
            if not chunk:
                yield _finish(running.pop(pipe))
        late = [child for child in running.values() if child.deadline <= time.monotonic()]
        for child in late:
            os.kill(child.pid, signal.SIGKILL)
            running.pop(child.pipe)
            _finish(child)
            yield child.task, TIMED_OUT


def _start(task: Task) -> _Child:
    out, inward = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(out)
        _be_child(task, inward)
    os.close(inward)
    return _Child(task, pid, out, time.monotonic() + _PATIENCE + 10 * task.limit)


def _be_child(task: Task, inward: int) -> None:
    status = 1
    try:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        seconds = math.ceil(task.limit)
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        data = pickle.dumps(task.work())
        while data:
            data = data[os.write(inward, data) :]
        status = 0
    finally:
        os._exit(status)


def _finish(child: _Child) -> tuple[Task, Any]:
    os.close(child.pipe)
    _, status = os.waitpid(child.pid, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGPROF, signal.SIGKILL):
        return child.task, TIMED_OUT
    return child.task, pickle.loads(child.data) if status == 0 and child.data else DIED
