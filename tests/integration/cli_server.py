"""A process that forks one child for each `allot` command: real exit codes, signals and limits without the imports.

One JSON request per line on stdin, one JSON answer {"code": int} per line on stdout. A request:

    argv: the command's arguments.
    out, err: files for its stdout and stderr.
    blow: what happens to the command: the name of a signal, or a number of bytes that no file may exceed from then on
        (RLIMIT_FSIZE: what a full disk looks like to every writer); null for nothing.
    at: when it happens: at the begin or end of a stage ("prices:begin"), or before or after a call
        ("engine.allocate:publish:after"); null is at once. So it comes exactly there, however slow the machine is.
"""

import functools
import gc
import importlib
import json
import os
import resource
import signal
import sys
import traceback
from typing import Any

import sqlglot
from numba.core.registry import CPUDispatcher

from bandit import choice
from engine.stamp import code_version

LONGEST_SECONDS = 120


_MODULES = (
    "api.cli", "api.report", "api.pages", "engine.allocate", "engine.evaluate", "engine.explain", "engine.feedback",
    "engine.learn", "engine.offer_rules", "engine.replay", "engine.train", "engine.workspaces", "cvxpy", "duckdb",
    "lightgbm",
)  # fmt: skip
_LAZY = ("bandit", "governance", "portfolio", "warehouse")


def main() -> None:
    """Load once what every command needs, then serve. Nothing here may start a thread: threads do not survive forks."""
    for name in _MODULES:
        importlib.import_module(name)
    for room in map(importlib.import_module, _LAZY):
        for name in room.__all__:
            getattr(room, name)
    _load_kernels()
    choice._grid()
    sqlglot.parse("true", read="duckdb")
    code_version()
    gc.freeze()  # or every child's first collection would copy the whole heap
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _run(json.loads(line))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(json.dumps({"code": os.waitstatus_to_exitcode(status)}) + "\n")
        sys.stdout.flush()


def _load_kernels() -> None:
    """Every kernel that has been compiled before, from numba's cache: most of a small command's time is reading it."""
    for module in list(sys.modules.values()):
        for kernel in list(vars(module).values()):
            cached = type(kernel) is CPUDispatcher and kernel.__module__ == module.__name__
            if cached and hasattr(kernel._cache, "_cache_file"):
                for signature, *_ in kernel._cache._cache_file._load_index():
                    kernel.compile(signature)


def _run(request: dict[str, Any]) -> None:
    """Be the command; never returns."""
    os.close(0)
    os.open(os.devnull, os.O_RDONLY)
    for number, name in ((1, "out"), (2, "err")):
        handle = os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, number)
        os.close(handle)
    sys.argv = ["allot", *request["argv"]]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.alarm(LONGEST_SECONDS)
    if request["blow"] is not None:
        _arm(request["at"], request["blow"])
    code = 1
    try:
        importlib.import_module("api.cli").main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  # what the interpreter does with it, too
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _arm(at: str | None, blow: str | int) -> None:
    """Let it happen where `at` says, once."""
    fired: list[bool] = []

    def fire() -> None:
        if fired:
            return
        fired.append(True)
        if isinstance(blow, int):
            resource.setrlimit(resource.RLIMIT_FSIZE, (blow, blow))
        else:
            os.kill(os.getpid(), signal.Signals[blow])

    if at is None:
        fire()
        return
    place, _, moment = at.rpartition(":")
    if moment in ("begin", "end"):
        lines = importlib.import_module("api.console")._Lines
        plain = lines.__call__

        def report(self: Any, stage: str, done: int, total: int) -> None:
            plain(self, stage, done, total)
            if stage == place and (done == 0 if moment == "begin" else done >= total):
                fire()

        lines.__call__ = report
        return
    module, _, name = place.partition(":")
    *path, last = name.split(".")
    owner: Any = functools.reduce(getattr, path, importlib.import_module(module))
    function = getattr(owner, last)

    @functools.wraps(function)
    def around(*args: Any, **kwargs: Any) -> Any:
        if moment == "before":
            fire()
        answer = function(*args, **kwargs)
        if moment == "after":
            fire()
        return answer

    setattr(owner, last, around)


if __name__ == "__main__":
    main()
