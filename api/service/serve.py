"""`allot serve`: what must be in place before it starts, then the processes."""

import errno
import fcntl
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from allot import WorkspaceError
from api.service import logs
from api.service.settings import METRICS_FOLDER, Settings, read_settings
from api.service.supervisor import Supervisor, python
from api.service.telemetry import tracer_of
from warehouse import Keys, Workspace, open_store

_BACKLOG = 2_048
# Threads that come and go with every fold leave what they freed in arenas of their own, up to eight a core: the worker
# would grow for hours, although nothing in it does. Blocks of a megabyte are given back at once, whatever larger ones
# have been freed before: else the texts and columns of a log that grows leave holes in which the next do not fit.
WORKER_SETTINGS = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": str(2**20)}


def serve(home: Path, *, host: str | None, port: int | None, workers: int | None) -> None:
    """Run the service until it is told to end.

    Raises:
        WorkspaceError: no workspace, no key, a weak secret, a port that is taken, a workspace that is
            served already: before anything has started.
    """
    named = {"home": home.absolute(), "host": host, "port": port, "workers": workers}
    settings = read_settings({name: value for name, value in named.items() if value is not None})
    _check(settings)
    with _alone(settings.home), _listener(settings) as listener, _shared_metrics(settings) as metrics:
        host, port = listener.getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        supervisor = Supervisor(_environment(settings, metrics))
        for slot in range(settings.workers):
            supervisor.add(f"web-{slot}", python("api.service.web", str(listener.fileno())), (listener.fileno(),))
        command = python("api.service.worker", "--workspace", str(settings.home), "--slot", "0")
        supervisor.add("worker", command, environment=WORKER_SETTINGS)
        supervisor.run(ready=lambda: _answers(host, port), when_ready=lambda: _tell(url, settings))


def _check(settings: Settings) -> None:
    workspace = Workspace.open(settings.home)
    open_store(workspace).close()
    if settings.workers > 1 and settings.database_url is None:
        what = "several web processes need PostgreSQL; SQLite lets one write at a time."
        raise WorkspaceError(what, where="--workers", remedy="Set ALLOT_DATABASE_URL, or leave --workers out.")
    tracer_of(settings)
    if settings.jwt_issuer:
        from api.service.tokens import WebTokens

        WebTokens(settings)
        return
    with Keys.open(workspace) as keys:
        usable = any(record.valid(datetime.now(UTC)) for record in keys.records())
    if not usable:
        remedy = "Run `allot keys create --role admin` first, or set ALLOT_JWT_ISSUER."
        raise WorkspaceError("nobody could call the service: there is no key.", where="allot serve", remedy=remedy)


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Serve a workspace once: two services would count into one folder, and their workers would have one name."""
    handle = os.open(home / ".serving", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            remedy = "End the other `allot serve`; for more processes there is --workers."
            raise WorkspaceError("the workspace is served already.", where=str(home), remedy=remedy) from error
        yield
    finally:
        os.close(handle)


@contextmanager
def _listener(settings: Settings) -> Iterator[socket.socket]:
    """The socket that every web process accepts on."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Named as TCP, since asyncio sends at once, without waiting for more, only on such.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
        except OSError as error:
            where = f"{settings.host}:{settings.port}"
            if error.errno == errno.EADDRINUSE:
                raise WorkspaceError("the port is taken.", where=where, remedy="Give another --port.") from error
            raise WorkspaceError(f"cannot listen ({error.strerror}).", where=where, remedy="Give others.") from error
        listener.listen(_BACKLOG)
        yield listener


@contextmanager
def _shared_metrics(settings: Settings) -> Iterator[Path]:
    """A folder in which the processes' counts meet."""
    folder = settings.home / "tmp-metrics" / str(os.getpid())
    shutil.rmtree(folder.parent, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder.parent, ignore_errors=True)


def _environment(settings: Settings, metrics: Path) -> dict[str, str]:
    ours = {"HOME": settings.home, "HOST": settings.host, "PORT": settings.port, "WORKERS": settings.workers}
    return {**os.environ, METRICS_FOLDER: str(metrics), **{f"ALLOT_{name}": str(value) for name, value in ours.items()}}


def _answers(host: str, port: int) -> bool:
    connection = HTTPConnection(host, port, timeout=1.0)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _tell(url: str, settings: Settings) -> None:
    import typer

    web = f"{settings.workers} web process{'es' if settings.workers > 1 else ''}"
    typer.echo(f"Allot serves {settings.home} at {url} ({web}). Ctrl-C ends it.")
    logs.configure(settings.log_level)
