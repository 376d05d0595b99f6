"""`allot serve` as a command: what must be in place, dying children, an orderly end."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.service.serve import WORKER_SETTINGS
from warehouse import Keys, Workspace, open_store, read_decisions
from warehouse.learning_marks import learning_mark

SAID = re.compile(r"Allot serves .+ at (http://\S+) \((\d) web process(?:es)?\)")


@contextmanager
def running(home: Path, tmp_path: Path, workers: int = 1) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The command on a free port, and its address once it has said it."""
    said = tmp_path / "said"
    with said.open("wb") as out:
        command = [sys.executable, "-m", "api.start", "serve", "--port", "0", "--workspace", str(home)]
        command += ["--workers", str(workers)]
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while (found := SAID.search(said.read_text())) is None:
            assert process.poll() is None, "it ended by itself"
            assert time.monotonic() < until, "it did not say where it serves"
            time.sleep(0.05)
        yield process, found[1]
    finally:
        process.kill()
        process.wait()


def _key(home: Path, role: str = "analyst") -> str:
    with Keys.open(Workspace.open(home)) as keys:
        return keys.create("main", [role], actor="test", at=datetime.now(UTC)).text


def _web(supervisor: int) -> list[int]:
    """The web processes below a supervisor."""
    return _children(supervisor, "api.service.web")


def _children(supervisor: int, module: str) -> list[int]:
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return [int(c) for c in children if module.encode() in Path(f"/proc/{c}/cmdline").read_bytes()]


def _gone(pid: int) -> bool:
    with suppress(FileNotFoundError):
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    return True


def _until(true: "object", seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.05)


def _alive(url: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"{url}/livez").status_code == 200
    return False


def test_a_web_process_that_dies_is_started_again_and_the_command_ends_in_order(home: Path, tmp_path: Path) -> None:
    """Meanwhile the workspace is served once: a second command is refused, and harms nothing."""
    from allot import WorkspaceError
    from api.service.serve import serve

    _key(home)
    with running(home, tmp_path) as (process, url):
        [first] = _web(process.pid)
        with pytest.raises(WorkspaceError, match="served already"):
            serve(home, host=None, port=0, workers=None)
        assert (home / "tmp-metrics").exists()
        assert _alive(url)
        os.kill(first, signal.SIGKILL)
        _until(lambda: _web(process.pid) not in ([], [first]))
        _until(lambda: _alive(url))
        [second] = _web(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0
        assert _gone(second)
        assert not (home / "tmp-metrics").exists()


def test_a_decision_names_a_newer_posterior_within_ten_seconds_of_feedback(home: Path, tmp_path: Path) -> None:
    headers = {"Authorization": f"Bearer {_key(home, 'ingest')}"}
    (path,) = home.glob("decisions/*/decisions.parquet")
    names = read_decisions(path, ["decision_id"])["decision_id"].to_pylist()[:200]
    at = "2026-04-02T00:00:00Z"
    told = [
        {"event_id": f"e{i}", "decision_id": name, "outcome": i % 2, "reward": 1.0, "occurred_at": at}
        for i, name in enumerate(names)
    ]
    with running(home, tmp_path) as (_, url), open_store(Workspace.open(home)) as store:

        def posterior() -> str:
            answer = _asked(f"{url}/v1/decisions", {"campaign": "spring", "customer_id": "c001"}, headers)
            found: str = answer["versions"]["posterior"]
            return found

        def current() -> str:
            found = store.current("posterior")
            return "" if found is None else found.model_id

        _until(lambda: learning_mark(store) is not None and posterior() == current(), 60.0)  # it learns when it starts
        before = posterior()
        answer = httpx.post(f"{url}/v1/feedback", json=told, headers=headers)
        assert answer.status_code == 200, answer.text
        _until(lambda: posterior() != before, 10.0)
        assert posterior() == current()


def test_several_web_processes_answer_as_one_also_when_one_dies(home: Path, tmp_path: Path) -> None:
    """They share a PostgreSQL: the same decision is the same whichever process is asked."""
    if "ALLOT_DATABASE_URL" not in os.environ:
        pytest.skip("several web processes need PostgreSQL")
    headers = {"Authorization": f"Bearer {_key(home, 'ingest')}"}
    said: dict[str, set[str]] = {}
    with running(home, tmp_path, workers=3) as (process, url):
        before = _web(process.pid)
        assert len(before) == 3
        for turn in range(120):
            if turn == 60:
                os.kill(before[0], signal.SIGKILL)
            one = {"campaign": "spring", "customer_id": f"c{turn % 30:03}", "decision_id": f"d{turn % 30}"}
            answer = _asked(f"{url}/v1/decisions", one, headers)
            said.setdefault(answer["decision_id"], set()).add(str(answer))
        assert len(said) == 30
        assert {len(answers) for answers in said.values()} == {1}
        _until(lambda: len(_web(process.pid)) == 3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0


def _asked(url: str, body: dict[str, str], headers: dict[str, str]) -> dict[str, Any]:
    """The answer, on a connection of its own; asked again where the process that had it died."""
    for _ in range(3):
        with suppress(httpx.TransportError):
            answer = httpx.post(url, json=body, headers=headers, timeout=30.0, verify=False)
            assert answer.status_code == 200, answer.text
            found: dict[str, Any] = answer.json()
            return found
    raise AssertionError("nobody answers")


def test_the_processes_end_when_the_supervisor_is_killed(home: Path, tmp_path: Path) -> None:
    _key(home)
    with running(home, tmp_path) as (process, _):
        [web] = _web(process.pid)
        process.kill()
        process.wait()
        _until(lambda: _gone(web))


def test_memory_is_kept_together_in_the_worker_alone_unless_the_environment_says_otherwise(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _key(home)

    def settings(process: int) -> dict[str, str]:
        lines = Path(f"/proc/{process}/environ").read_bytes().decode().split("\0")
        return dict(line.split("=", 1) for line in lines if "=" in line)

    ours, theirs = WORKER_SETTINGS
    monkeypatch.delenv(ours, raising=False)
    monkeypatch.setenv(theirs, "65536")
    with running(home, tmp_path) as (process, _):
        [web], [worker] = _web(process.pid), _children(process.pid, "api.service.worker")
        assert settings(worker)[ours] == WORKER_SETTINGS[ours]
        assert ours not in settings(web)
        assert settings(worker)[theirs] == settings(web)[theirs] == "65536"
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0


@pytest.mark.parametrize("what", ["no workspace", "no key", "a port that is taken", "a weak secret", "more workers"])
def test_what_is_missing_is_said_in_one_line_before_anything_starts(what: str, home: Path, tmp_path: Path) -> None:
    import socket

    from allot import WorkspaceError
    from api.service.serve import serve

    words = {
        "no workspace": "allot init",
        "no key": "allot keys create",
        "a port that is taken": "--port",
        "a weak secret": "ALLOT_METRICS_TOKEN",
        "more workers": "ALLOT_DATABASE_URL",
    }
    if what == "more workers" and "ALLOT_DATABASE_URL" in os.environ:
        pytest.skip("PostgreSQL takes several web processes")
    if what != "no key":
        _key(home)
    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as taken:
        patch.setenv("ALLOT_METRICS_TOKEN", "changeme" if what == "a weak secret" else "")
        at = tmp_path / "nowhere" if what == "no workspace" else home
        port = taken.getsockname()[1] if what == "a port that is taken" else 0
        with pytest.raises(WorkspaceError) as caught:
            serve(at, host=None, port=port, workers=2 if what == "more workers" else None)
    assert words[what] in str(caught.value)
    assert "\n" not in str(caught.value)
