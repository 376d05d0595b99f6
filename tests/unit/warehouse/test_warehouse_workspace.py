"""The workspace: one writer, whole files, and nothing left behind."""

import errno
import subprocess
import sys

import pytest

from allot import WorkspaceError
from warehouse import Workspace, connect, publish, write_atomically


def tree(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.name != ".lock")


@pytest.fixture
def workspace(tmp_path):
    return Workspace.init(tmp_path / "home")


def test_init_twice_keeps_the_house_key(workspace):
    assert Workspace.init(workspace.root) == workspace == Workspace.open(workspace.root)
    assert 0 <= workspace.house_key < 2**64


def test_two_houses_have_two_keys(tmp_path, workspace):
    assert Workspace.init(tmp_path / "other").house_key != workspace.house_key


def test_opening_nothing_says_how_to_begin(tmp_path):
    with pytest.raises(WorkspaceError, match="allot init"):
        Workspace.open(tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match="not a folder"):
        Workspace.open(tmp_path / "file")
    with pytest.raises(WorkspaceError, match="cannot be made"):
        Workspace.init(tmp_path / "file")


@pytest.mark.parametrize("text", ["", "format = 1", "format = 1\nhouse_key = 7", 'house_key = "zz"\nformat = 1', "?"])
def test_a_damaged_workspace_is_not_opened(workspace, text):
    (workspace.root / "workspace.toml").write_text(text)
    with pytest.raises(WorkspaceError, match="damaged"):
        Workspace.open(workspace.root)


def test_a_newer_workspace_is_not_opened(workspace):
    (workspace.root / "workspace.toml").write_text('format = 2\nhouse_key = "00"')
    with pytest.raises(WorkspaceError, match="format 2"):
        Workspace.open(workspace.root)


def test_a_second_writer_is_told_so(workspace):
    code = (
        "import sys; from pathlib import Path; from warehouse import Workspace\n"
        "with Workspace.open(Path(sys.argv[1])).lock(): pass"
    )
    command = [sys.executable, "-c", code, str(workspace.root)]
    with workspace.lock():
        with pytest.raises(WorkspaceError, match="another allot command is writing"), workspace.lock():
            pass
        other = subprocess.run(command, capture_output=True, text=True)
    assert "another allot command is writing" in other.stderr
    assert subprocess.run(command).returncode == 0


@pytest.mark.parametrize("way_out", [None, ValueError, KeyboardInterrupt, SystemExit])
def test_staging_is_gone_on_every_way_out(workspace, way_out):
    before = tree(workspace.root)
    try:
        with workspace.lock(), workspace.staging() as folder:
            (folder / "half").write_text("x")
            if way_out is not None:
                raise way_out
    except (ValueError, KeyboardInterrupt, SystemExit) as error:
        assert type(error) is way_out
    assert tree(workspace.root) == before


def test_what_a_killed_writer_left_is_swept_at_the_next_lock(workspace):
    before = tree(workspace.root)
    (workspace.root / "staging" / "dead").mkdir(parents=True)
    (workspace.root / "staging" / "dead" / "half").write_text("x")
    with workspace.lock():
        assert tree(workspace.root) == before


def test_spills_of_the_dead_are_swept_and_those_of_the_living_are_not(workspace):
    (workspace.spills / "dead").mkdir(parents=True)
    (workspace.spills / "dead" / "block").write_text("x")
    with connect(workspace):
        (living,) = [path for path in workspace.spills.iterdir() if path.name != "dead"]
        with workspace.lock():
            assert list(workspace.spills.iterdir()) == [living]
    assert list(workspace.spills.iterdir()) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_said_in_words(workspace, code):
    with pytest.raises(WorkspaceError, match="disk is full"), workspace.staging():
        raise OSError(code, "x")
    with pytest.raises(PermissionError), workspace.staging():
        raise PermissionError(errno.EACCES, "x")


def test_publish_replaces_a_file_and_makes_folders(tmp_path):
    (tmp_path / "new").write_text("new")
    (tmp_path / "old").write_text("old")
    publish(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old").read_text() == "new"
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    (tmp_path / "folder" / "deep" / "file").write_text("x")
    publish(tmp_path / "folder", tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b" / "deep" / "file").read_text() == "x"
    assert not (tmp_path / "folder").exists()


def test_a_reader_never_sees_a_part_of_a_file(tmp_path, monkeypatch):
    """The bytes go to another name first: when writing them fails, the old content stands."""
    path = tmp_path / "current.json"
    write_atomically(path, b"old")
    seen = []

    def failing(staged, final):
        seen.append((path.read_bytes(), staged.read_bytes()))
        raise OSError(errno.EIO, "x")

    monkeypatch.setattr("warehouse.workspace.publish", failing)
    with pytest.raises(OSError, match="x"):
        write_atomically(path, b"new")
    assert seen == [(b"old", b"new")]
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["current.json"]


def test_user_sql_runs_locked_up(workspace, tmp_path):
    import duckdb
    import pyarrow as pa

    (tmp_path / "secret.csv").write_text("a\n1\n")
    with connect(workspace, user_sql=True, memory_limit="500MB") as connection:
        for sql in (f"FROM read_csv('{tmp_path}/secret.csv')", "SET threads = 1", "SET enable_external_access = true"):
            with pytest.raises(duckdb.Error):
                connection.execute(sql).fetchall()
        with pytest.raises(duckdb.Error):
            connection.execute(f"COPY (SELECT 1) TO '{workspace.root}/workspace.toml' (FORMAT csv)")
        connection.register("memory", pa.table({"a": [1, 2]}))
        assert connection.execute("FROM memory SELECT sum(a)").fetchone() == (3,)
        assert connection.execute("SELECT current_setting('TimeZone')").fetchone() == ("UTC",)


def test_a_connection_leaves_no_spill_behind(workspace):
    before = tree(workspace.root)
    with connect(workspace, memory_limit="60MB", threads=1) as connection:
        wide = "SELECT DISTINCT hash(i), i::VARCHAR || 'padding to make it wide' FROM range(2000000) t(i)"
        query = f"FROM ({wide}) SELECT count(*)"
        assert connection.execute(query).fetchall() == [(2_000_000,)]
        assert any(path.is_file() for path in workspace.spills.rglob("*"))
    assert tree(workspace.root) == before
