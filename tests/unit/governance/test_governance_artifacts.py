"""Artifacts are whole and unchanged, or refused by name."""

import pytest

from allot import WorkspaceError
from governance import load_artifact, save_artifact

FILES = {"model.txt": b"tree", "offers.json": b"[]"}


def test_what_is_saved_is_loaded(tmp_path):
    save_artifact(tmp_path / "m" / "1", FILES, {"kind": "prior"})
    assert load_artifact(tmp_path / "m" / "1") == (FILES, {"kind": "prior"})
    assert [path.name for path in (tmp_path / "m").iterdir()] == ["1"]


@pytest.mark.parametrize("name", ["model.txt", "manifest.json"])
def test_a_missing_file_is_named(tmp_path, name):
    save_artifact(tmp_path / "m", FILES, {})
    (tmp_path / "m" / name).unlink()
    with pytest.raises(WorkspaceError, match="missing") as caught:
        load_artifact(tmp_path / "m")
    assert name in caught.value.where


@pytest.mark.parametrize(
    ("name", "damage"), [("model.txt", b"trie"), ("manifest.json", b"{"), ("manifest.json", b"[]")]
)
def test_a_damaged_file_is_named(tmp_path, name, damage):
    save_artifact(tmp_path / "m", FILES, {})
    (tmp_path / "m" / name).write_bytes(damage)
    with pytest.raises(WorkspaceError, match="not as it was written") as caught:
        load_artifact(tmp_path / "m")
    assert name in caught.value.where


def test_a_manifest_cannot_point_outside(tmp_path):
    save_artifact(tmp_path / "m", FILES, {})
    (tmp_path / "m" / "manifest.json").write_text('{"files": {"../secret": "00"}}')
    with pytest.raises(WorkspaceError, match="not as it was written"):
        load_artifact(tmp_path / "m")


def test_artifacts_are_never_changed(tmp_path):
    save_artifact(tmp_path / "m", FILES, {})
    with pytest.raises(WorkspaceError, match="exists"):
        save_artifact(tmp_path / "m", {"model.txt": b"other"}, {})
    assert load_artifact(tmp_path / "m")[0] == FILES


@pytest.mark.parametrize("name", ["../x", "a/b", "", "manifest.json"])
def test_file_names_are_plain(tmp_path, name):
    with pytest.raises(WorkspaceError, match="plain"):
        save_artifact(tmp_path / "m", {name: b""}, {})
    assert list(tmp_path.iterdir()) == []


def test_a_failed_save_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        save_artifact(tmp_path / "m", FILES, {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []
