"""The folder that everything is kept in: who may write to it, and how a half-written file never gets a name."""

import errno
import fcntl
import os
import secrets
import shutil
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from allot import LockedError, WorkspaceError

FORMAT = 1
_FOLDERS = ("data/files", "data/versions", "decisions", "models", "reports", "tmp")
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder with the data, decisions, models and reports of one house.

    `house_key` is a random 64-bit number drawn once; it decides who is in the holdout, for ever.
    """

    root: Path
    house_key: int

    @classmethod
    def init(cls, root: Path) -> "Workspace":
        """Make a workspace, or open the one that is already there; its house key is never drawn anew.

        Raises:
            WorkspaceError: the folder cannot be written, or the workspace there is damaged.
        """
        root = root.absolute()
        with full_disk_in_words(root):
            try:
                for folder in _FOLDERS:
                    (root / folder).mkdir(parents=True, exist_ok=True)
                if not _settings(root).exists():
                    text = f'format = {FORMAT}\nhouse_key = "{secrets.token_hex(8)}"\n'
                    write_atomically(_settings(root), text.encode())
            except (PermissionError, FileExistsError, NotADirectoryError) as error:
                raise WorkspaceError(
                    f"cannot be made ({error.strerror}).",
                    where=str(root),
                    remedy="Choose a folder that you may write to.",
                ) from error
        return cls.open(root)

    @classmethod
    def open(cls, root: Path) -> "Workspace":
        """Open a workspace.

        Raises:
            WorkspaceError: there is none, it is damaged, or a newer version of the program made it.
        """
        root = root.absolute()
        try:
            settings = tomllib.loads(_settings(root).read_text())
            made_by, key = settings["format"], int(settings["house_key"], 16)
        except FileNotFoundError as error:
            raise WorkspaceError(
                "is not a workspace.", where=str(root), remedy="Run `allot init` first, or give another --workspace."
            ) from error
        except NotADirectoryError as error:
            raise WorkspaceError("is not a folder.", where=str(root), remedy="Give another --workspace.") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, ValueError, TypeError) as error:
            raise WorkspaceError(
                "is damaged: it needs `format` and `house_key`.",
                where=str(_settings(root)),
                remedy="Restore the file from a backup; a new house key would change who is held out.",
            ) from error
        if made_by != FORMAT:
            raise WorkspaceError(
                f"has format {made_by}; this program knows format {FORMAT}.", where=str(root), remedy="Update allot."
            )
        return cls(root, key)

    @property
    def store_path(self) -> Path:
        """The operational database."""
        return self.root / "allot.db"

    @property
    def spills(self) -> Path:
        """One claimed folder per open connection, for what does not fit into memory."""
        return self.root / "tmp"

    @property
    def data(self) -> Path:
        """Loaded tables and their versions."""
        return self.root / "data"

    @property
    def decisions(self) -> Path:
        """One folder per allocation."""
        return self.root / "decisions"

    @property
    def models(self) -> Path:
        """One folder per model."""
        return self.root / "models"

    @property
    def serving(self) -> Path:
        """What single decisions fall back on."""
        return self.root / "serving"

    @property
    def reports(self) -> Path:
        """Reports for people."""
        return self.root / "reports"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only writer; readers need no lock. What killed writers left in staging is swept on entry.

        Raises:
            LockedError: another command is writing.
            WorkspaceError: the disk became full inside the block.
        """
        handle = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise LockedError(
                    "another allot command is writing.",
                    where=str(self.root),
                    remedy="Wait for it to end and try again.",
                ) from error
            shutil.rmtree(self.root / "staging", ignore_errors=True)
            _sweep_unclaimed(self.spills)
            with full_disk_in_words(self.root):
                yield
        finally:
            os.close(handle)

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """A temporary folder on the workspace's own disk, gone on any way out. Use it under `lock()`.

        Raises:
            WorkspaceError: the disk became full inside the block.
        """
        folder = self.root / "staging" / secrets.token_hex(8)
        try:
            with full_disk_in_words(self.root):
                folder.mkdir(parents=True)
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):
                folder.parent.rmdir()


def _settings(root: Path) -> Path:
    return root / "workspace.toml"


def claim(folder: Path) -> int:
    """Make a temporary folder that is ours until the returned handle is closed, also by our death."""
    folder.mkdir(parents=True)
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


def _sweep_unclaimed(parent: Path) -> None:
    """Remove the temporary folders whose owners are gone."""
    for folder in parent.iterdir() if parent.exists() else ():
        try:
            handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # its owner has just removed it
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(handle)


def sync(path: Path) -> None:
    """Make a file, or the names in a folder, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def publish(staged: Path, final: Path) -> None:
    """Give a finished file or folder its name. It appears whole or not at all, also in a power cut.

    A file replaces what had the name; a folder may only take a name that is free or an empty folder.
    """
    if staged.is_dir():
        for path in staged.rglob("*"):
            sync(path)
    sync(staged)
    final.parent.mkdir(parents=True, exist_ok=True)
    os.replace(staged, final)  # noqa: PTH105 (the one call whose atomicity everything rests on)
    sync(final.parent)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a small file so that readers see the old content or the new, never a part."""
    staged = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        staged.write_bytes(content)
        publish(staged, path)
    finally:
        staged.unlink(missing_ok=True)


@contextmanager
def full_disk_in_words(root: Path) -> Iterator[None]:
    """Turn the operating system's "no space left" into a sentence.

    Raises:
        WorkspaceError: the disk is full.
    """
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise
        raise disk_full(root) from error


def is_full(error: OSError) -> bool:
    """Whether the operating system means that there is no room left."""
    return error.errno in _DISK_FULL


def disk_full(root: Path) -> WorkspaceError:
    """The error for a disk that has no room left."""
    return WorkspaceError(
        "the disk is full; nothing was changed.", where=str(root), remedy="Free some space and run the command again."
    )
