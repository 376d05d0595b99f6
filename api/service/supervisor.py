"""The processes of the service: started, started again when they die, ended together."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import final

import structlog

from allot import WorkspaceError
from api.service.lifeline import HELD

GRACE_SECONDS = 30.0
_FIRST_WAIT, _LONGEST_WAIT, _SETTLED_SECONDS = 0.5, 30.0, 60.0
_TICK_SECONDS = 0.1
_log = structlog.get_logger()


@dataclass(slots=True)
class _Child:
    """One place for a process, and who has it now."""

    name: str
    command: Sequence[str]
    handles: tuple[int, ...]
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    since: float = 0.0
    wait: float = _FIRST_WAIT
    due: float = 0.0
    lives: int = field(default=0)


@final
class Supervisor:
    """Runs commands until a signal says that it is enough.

    A command that ends by itself is started again after half a second, then after twice as long each time, up to half
    a minute; one that lived for a minute begins anew. Each has the supervisor's pipe as its standard input, so that it
    can end when the supervisor is gone.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = {**environment, HELD: "1"}
        self._children: list[_Child] = []
        self._ending = False
        self._lifeline = os.pipe()

    def add(
        self,
        name: str,
        command: Sequence[str],
        handles: tuple[int, ...] = (),
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """A process to keep alive.

        Args:
            name: for the log.
            command: what to run.
            handles: open files that it inherits.
            environment: settings of its own, where the supervisor's environment says nothing else.
        """
        self._children.append(_Child(name, command, handles, {**environment, **self._environment}))

    def run(self, *, ready: Callable[[], bool], when_ready: Callable[[], None]) -> None:
        """Start all, call `when_ready` once as soon as `ready`, go on until SIGTERM or SIGINT, end all.

        Raises:
            WorkspaceError: a process ended before the service ever was ready; what it said is on stderr.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        told = False
        try:
            while not self._ending:
                self._tend(may_fail=told)
                if not told and ready():
                    told = True
                    when_ready()
                time.sleep(_TICK_SECONDS)
        finally:
            self._stop()

    def _end(self, _number: int, _frame: object) -> None:
        self._ending = True

    def _tend(self, *, may_fail: bool) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.process is None and now >= child.due:
                self._start(child, now)
            elif child.process is not None and (code := child.process.poll()) is not None:
                if not may_fail:
                    what = f"the {child.name} process ended with status {code} while starting."
                    raise WorkspaceError(what, where="allot serve", remedy="The lines above say why.")
                self._mourn(child, code, now)

    def _start(self, child: _Child, now: float) -> None:
        child.process = subprocess.Popen(  # noqa: S603 (our own modules)
            child.command,
            stdin=self._lifeline[0],
            pass_fds=child.handles,
            env=child.environment,
            start_new_session=True,  # Ctrl-C is the supervisor's: it lets them finish
        )
        child.since = now
        child.lives += 1

    def _mourn(self, child: _Child, code: int, now: float) -> None:
        lived = now - child.since
        child.wait = _FIRST_WAIT if lived >= _SETTLED_SECONDS else min(_LONGEST_WAIT, child.wait * 2)
        child.process, child.due = None, now + child.wait
        _log.error("process ended", process=child.name, status=code, lived_s=round(lived, 1), again_in_s=child.wait)

    def _stop(self) -> None:
        """Ask all to end, wait, and end those by force that do not."""
        alive = [child.process for child in self._children if child.process is not None]
        for process in alive:
            if process.poll() is None:
                process.terminate()
        until = time.monotonic() + GRACE_SECONDS
        for process in alive:
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for handle in self._lifeline:
            os.close(handle)


def python(module: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs a module of ours."""
    return (sys.executable, "-m", module, *arguments)
