"""The table of figures shows what is wrong, and every piece that can be asked for exists."""

import sys

import pytest

from benchmarks import optimizer
from benchmarks.measure import peak, timed
from benchmarks.optimizer_rows import ROWS


def test_every_piece_that_can_be_asked_for_exists() -> None:
    assert {*optimizer.USUAL, *optimizer.LARGE} == set(ROWS)


def row(**more: object) -> dict[str, object]:
    return {"work": "solve", "ours": 0.5, "peer": 40.0, "gap": 1e-6, "status": "optimal", "wrong": ""} | more


def test_a_row_says_seconds_ratio_and_whether_the_floor_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(optimizer, "_run", lambda name: [row(floor=">= 30 x", kept=True)])
    monkeypatch.setattr(sys, "argv", ["optimizer", "--only", "lp"])
    optimizer.main()
    assert "| solve | 0.500 | 40.0 | 80 | 1.0e-06 | optimal | >= 30 x | yes |" in capsys.readouterr().out


def test_a_wrong_answer_is_shown_and_fails_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(optimizer, "_run", lambda name: [row(wrong="breaks budget", kept=False)])
    monkeypatch.setattr(sys, "argv", ["optimizer", "--only", "lp"])
    with pytest.raises(SystemExit, match="breaks budget"):
        optimizer.main()
    assert "WRONG: breaks budget" in capsys.readouterr().out


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is measured on Linux only")
def test_peak_memory_is_what_work_needs_beyond_what_was_there() -> None:
    size = 200_000_000
    kept = bytearray(size)
    length, extra = peak(lambda: len(bytearray(size // 2)))
    assert length == size // 2
    assert 0.9 * size / 2 < extra < 1.5 * size / 2
    assert len(kept) == size


def test_cpu_seconds_come_with_the_result() -> None:
    total, seconds = timed(lambda: sum(range(200_000)))
    assert total == 19_999_900_000
    assert seconds > 0
