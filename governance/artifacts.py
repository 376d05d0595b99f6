"""Models and reports as folders: complete and unchanged since they were written, or refused by name."""

import json
import os
import shutil
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any

from allot import WorkspaceError

MANIFEST = "manifest.json"


def save_artifact(folder: Path, files: Mapping[str, bytes], manifest: Mapping[str, Any]) -> None:
    """Write an artifact in one step: the folder appears with everything in it, or not at all.

    Args:
        folder: its place; must not exist yet, because artifacts are never changed.
        files: contents by plain file name.
        manifest: what else is to be known about it, in JSON values; the key "files" is ours.

    Raises:
        WorkspaceError: the folder exists, or a file's name is not plain.
    """
    for name in files:
        if name != Path(name).name or name in ("", ".", "..", MANIFEST):
            raise WorkspaceError(f"{name!r} is no plain file name.", where=str(folder))
    if folder.exists():
        raise WorkspaceError(
            "exists already.", where=str(folder), remedy="Artifacts are never changed; save a new one."
        )
    document = {**manifest, "files": {name: sha256(content).hexdigest() for name, content in sorted(files.items())}}
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = folder.with_name(f".{folder.name}.{token_hex(4)}")
    try:
        staged.mkdir()
        for name, content in files.items():
            _write(staged / name, content)
        _write(staged / MANIFEST, json.dumps(document, indent=1, sort_keys=True, allow_nan=False).encode())
        _sync(staged)
        staged.rename(folder)
        _sync(folder.parent)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def load_artifact(folder: Path) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Read an artifact and check every file against its fingerprint.

    Returns:
        The files' contents by name, and the manifest as it was given.

    Raises:
        WorkspaceError: a file is missing or not as it was written; the error names it.
    """
    remedy = "Restore it from a backup, or make it anew."
    manifest = _manifest(folder / MANIFEST, remedy)
    files = {}
    for name, digest in manifest.pop("files").items():
        path = folder / name
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            raise WorkspaceError("is missing.", where=str(path), remedy=remedy) from error
        if sha256(content).hexdigest() != digest:
            raise WorkspaceError("is not as it was written.", where=str(path), remedy=remedy)
        files[name] = content
    return files, manifest


def _manifest(path: Path, remedy: str) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise WorkspaceError("is missing.", where=str(path), remedy=remedy) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise WorkspaceError("is not as it was written.", where=str(path), remedy=remedy) from error
    listed = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(listed, dict) or any(name != Path(name).name for name in listed):
        raise WorkspaceError("is not as it was written.", where=str(path), remedy=remedy)
    return dict(manifest)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
