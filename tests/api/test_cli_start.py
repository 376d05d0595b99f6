"""Ctrl-C before, while and after libraries load: one line, status 130, and nothing keeps the process waiting."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINE = "interrupted: nothing half-done was kept; run the same command again\n"
AT_IMPORT = """
import os, signal, sys
class Blow:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Blow())
sys.argv = ["allot", *{arguments!r}]
from api.start import main
main()
"""
AS_COMMAND = """
import os, signal, sys, threading, time, types
def command():
    threading.Thread(target=time.sleep, args=(60,)).start()
    {body}
sys.modules["api.cli"] = types.SimpleNamespace(main=command)
sys.argv = ["allot", "load", "--output", "json"]
from api.start import main
main()
"""
INTERRUPTED = """try:
        os.kill(os.getpid(), signal.SIGINT); time.sleep(60)
    except KeyboardInterrupt:
        """


def _python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=30)


@pytest.mark.parametrize(
    ("arguments", "module"),
    [
        (["--help"], "typer"),
        (["--help"], "api.options"),
        (["init", "--workspace", "w"], "engine.workspaces"),
        (["load", "--workspace", "w"], "engine.stages"),
        (["feedback", "f.csv", "--workspace", "w"], "sqlalchemy"),
        (["explain", "c", "--workspace", "w"], "numba"),
        (["learn", "--workspace", "w"], "pyarrow.lib"),
        (["train", "--workspace", "w"], "bandit.prior"),
    ],
)
def test_interrupted_while_libraries_load(arguments: list[str], module: str) -> None:
    ended = _python(AT_IMPORT.format(arguments=arguments, module=module))
    assert (ended.returncode, ended.stderr, ended.stdout) == (130, LINE, "")


@pytest.mark.parametrize("becomes", ["raise", "raise ImportError('numpy')", "raise SystemExit(130)"])
def test_an_interruption_ends_at_once_whatever_it_has_become(becomes: str) -> None:
    """Although a thread still works; a library may have made an error of its own of it."""
    ended = _python(AS_COMMAND.format(body=INTERRUPTED + becomes))
    assert ended.returncode == 130
    told = becomes != "raise SystemExit(130)"  # the command line has told it then
    assert ended.stderr == (LINE if told else "")
    if told:
        assert json.loads(ended.stdout)["error"]["kind"] == "Interrupted"


def test_without_an_interruption_errors_are_errors() -> None:
    code = AS_COMMAND.replace("threading.Thread(target=time.sleep, args=(60,)).start()", "")
    ended = _python(code.format(body="raise ImportError('numpy')"))
    assert ended.returncode == 1
    assert "ImportError: numpy" in ended.stderr
    assert LINE not in ended.stderr


AT_THE_END = """
import atexit, sys, threading, time, types
class Loaded:
    def __del__(self):
        sys.stderr.write("taken apart")
def command():
    sys.modules["loaded"] = types.SimpleNamespace(it=Loaded())
    atexit.register(lambda: sys.stdout.write("told "))
    threading.Thread(target=lambda: (time.sleep(0.1), sys.stdout.write("waited for "))).start()
    {body}
sys.modules["api.cli"] = types.SimpleNamespace(main=command)
from api.start import main
main()
"""


@pytest.mark.parametrize(("body", "status"), [("pass", 0), ("sys.exit()", 0), ("sys.exit(3)", 3)])
def test_a_command_that_is_done_ends_at_once_when_its_threads_have(body: str, status: int) -> None:
    """What is loaded is not taken apart: that costs as much as many a command."""
    ended = _python(AT_THE_END.format(body=body))
    assert (ended.returncode, ended.stdout, ended.stderr) == (status, "waited for told ", "")


@pytest.mark.parametrize(("body", "said"), [("sys.exit('no')", "no\n"), ("raise OSError('no')", "OSError: no\n")])
def test_what_a_command_did_not_foresee_is_said_as_ever(body: str, said: str) -> None:
    ended = _python(AT_THE_END.format(body=body))
    assert (ended.returncode, ended.stdout) == (1, "waited for told ")
    assert said in ended.stderr
