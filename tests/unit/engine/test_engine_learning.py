"""Learning is a fold over calendar windows: neither order, nor batches, nor repeats of feedback change a bit."""

from dataclasses import replace

import numpy as np
import pytest
from engine_workspace import LATE, SECOND, decisions

from engine.learn import learn
from engine.stamp import current_posterior_id
from engine.train import Wishes, train
from sims.files import OUTCOME_DAYS, moment
from warehouse import open_store


@pytest.fixture(scope="module")
def heard(decided):
    """Answers to both allocations; of every tenth decision nothing is ever heard."""
    lab, plans = decided
    both = [lab.answers(plan, day) for plan, day in zip(plans, (0, SECOND), strict=True)]
    return [[row for i, row in enumerate(rows) if i % 10] for rows in both]


def at_once(lab, heard, day=LATE):
    """Everything in one file, folded once."""
    lab.feed([*heard[0], *heard[1]], day)
    return learn(lab.workspace, as_of=moment(LATE))


@pytest.fixture(scope="module")
def expected(decided, heard, tmp_path_factory):
    lab, _ = decided
    return at_once(lab.copy(tmp_path_factory.mktemp("expected")), heard)


def counted(made):
    return {key: made[key] for key in ("folded", "filled", "waiting", "overlaid", "refolded", "windows")}


def test_every_matured_decision_is_folded_once_and_silence_is_failure(heard, expected, decided):
    _, plans = decided
    answered = len(heard[0]) + len(heard[1])
    silent = sum(plan["audience"] for plan in plans) - answered
    nothing = {"waiting": 0, "overlaid": 0, "refolded": 0}
    assert counted(expected) == {"folded": answered, "filled": silent, "windows": 2, **nothing}


def test_nothing_is_folded_twice(copies, heard, expected):
    lab = copies()
    assert at_once(lab, heard)["posterior"] == expected["posterior"]
    again = learn(lab.workspace, as_of=moment(LATE))
    assert again["posterior"] == expected["posterior"]
    assert counted(again) == {"folded": 0, "filled": 0, "waiting": 0, "overlaid": 0, "refolded": 0, "windows": 2}


def in_reverse(lab, heard, expected):
    """The second allocation first, each in halves, learning after every half."""
    first, second = ([*reversed(rows)] for rows in heard)
    for part in (second[::2], second[1::2], first[1::2], first[::2]):
        lab.feed(part, LATE)
        learn(lab.workspace, as_of=moment(LATE))


def in_small_pieces_with_repeats(lab, heard, expected):
    """In a random order, everything sent twice."""
    rows = [*heard[0], *heard[1]]
    order = np.random.default_rng(1).permutation(len(rows))
    for some in np.array_split(order, 5):
        lab.feed([rows[i] for i in some], LATE)
        lab.feed([rows[i] for i in reversed(some)], LATE + 1)
    learn(lab.workspace, as_of=moment(LATE))


def as_time_goes_by(lab, heard, expected):
    """Learning nearly every day: young decisions laid over, windows folded as they mature."""
    lab.feed(heard[0][::2], 3)
    learn(lab.workspace, as_of=moment(4))
    lab.feed(heard[0][1::2], 8)
    for day in (SECOND, SECOND + 4):
        learn(lab.workspace, as_of=moment(day))
    lab.feed(heard[1], SECOND + 5)
    learn(lab.workspace, as_of=moment(SECOND + 6))


def wrong_at_first(lab, heard, expected):
    """Every outcome is reported wrongly, learnt from, and corrected later."""
    rows = [*heard[0], *heard[1]]
    early = [
        replace(r, event_id=f"{r.event_id}-wrong", outcome=1 - r.outcome, occurred_at="2026-01-01T01:00:00Z")
        for r in rows
    ]
    lab.feed(early, 10)
    assert learn(lab.workspace, as_of=moment(LATE))["posterior"] != expected["posterior"]
    lab.feed(rows, 20)


@pytest.mark.parametrize("way", [in_reverse, in_small_pieces_with_repeats, as_time_goes_by, wrong_at_first])
def test_the_way_outcomes_came_does_not_change_the_posterior(copies, heard, expected, way):
    lab = copies()
    way(lab, heard, expected)
    made = learn(lab.workspace, as_of=moment(LATE))
    assert made["posterior"] == expected["posterior"]
    with open_store(lab.workspace) as store:
        assert current_posterior_id(store) == expected["posterior"]


def test_a_late_outcome_folds_again_from_its_window(copies, heard, expected):
    lab = copies()
    success = next(row for row in heard[0] if row.outcome)
    lab.feed([row for row in [*heard[0], *heard[1]] if row is not success], 16)
    before = learn(lab.workspace, as_of=moment(LATE))
    assert before["posterior"] != expected["posterior"]
    assert before["filled"] == expected["filled"] + 1
    lab.feed([success], 29)
    after = learn(lab.workspace, as_of=moment(LATE))
    assert after["posterior"] == expected["posterior"]
    assert (after["folded"], after["refolded"]) == (1, 2)


def test_a_late_outcome_of_the_last_window_keeps_the_one_before(copies, heard, expected):
    lab = copies()
    lab.feed([*heard[0], *heard[1][1:]], 16)
    learn(lab.workspace, as_of=moment(LATE))
    lab.feed(heard[1][:1], 29)
    after = learn(lab.workspace, as_of=moment(LATE))
    assert (after["posterior"], after["refolded"]) == (expected["posterior"], 1)


def test_a_correction_taken_back_gives_the_old_posterior_back(copies, heard, expected):
    lab = copies()
    at_once(lab, heard)
    row = heard[0][0]
    for i, outcome in enumerate((1 - row.outcome, row.outcome)):
        lab.feed([replace(row, event_id=f"again-{i}", outcome=outcome, occurred_at=moment(10 + i).isoformat())], 20)
        made = learn(lab.workspace, as_of=moment(LATE))
        assert made["folded"] == 0 and made["refolded"] == 2
        assert (made["posterior"] == expected["posterior"]) == bool(i)
        with open_store(lab.workspace) as store:
            assert current_posterior_id(store) == made["posterior"]


def test_immature_decisions_wait(copies, heard, decided):
    lab, (first, second) = copies(), decided[1]
    lab.feed(heard[0], 5)
    young = learn(lab.workspace, as_of=moment(5))
    assert (young["folded"], young["filled"], young["windows"]) == (0, 0, 0)
    assert young["waiting"] == first["audience"] + second["audience"]
    assert young["overlaid"] == first["audience"]  # the second lies in the future
    ripe = learn(lab.workspace, as_of=moment(OUTCOME_DAYS))
    assert (ripe["folded"], ripe["filled"]) == (len(heard[0]), first["audience"] - len(heard[0]))
    assert ripe["waiting"] == second["audience"]


def test_outcomes_of_the_future_are_not_known(copies, heard):
    """As of a day, feedback that occurred later counts for nothing, even if it was received."""
    lab, other = copies(), copies()
    lab.feed([*heard[0], *heard[1]], LATE)
    other.feed(heard[0], LATE)
    day = moment(SECOND + 1)
    assert learn(lab.workspace, as_of=day)["posterior"] == learn(other.workspace, as_of=day)["posterior"]


def test_what_was_trained_on_is_not_folded_again(copies, heard, decided):
    _, (first, second) = decided
    lab = copies()
    lab.feed(heard[0], 8)
    retrained = train(lab.workspace, as_of=moment(9), outcome_days=OUTCOME_DAYS, wishes=Wishes(force=True))
    made = learn(lab.workspace, as_of=moment(9))
    assert (made["folded"], made["filled"], made["windows"]) == (0, 0, 0)
    assert made["prior"] == retrained["prior"]
    lab.feed([*heard[0], *heard[1]], 16)
    made = learn(lab.workspace, as_of=moment(LATE))
    assert (made["folded"], made["filled"]) == (len(heard[1]), second["audience"] - len(heard[1]))
    assert retrained["rows"] == 2_750 + first["audience"]


def test_training_again_forgets_nothing_and_counts_nothing_twice(copies, heard, expected):
    """What was folded before is in the log that is trained on; then there is nothing left to fold."""
    lab = copies()
    at_once(lab, heard)
    made = train(lab.workspace, as_of=moment(LATE), outcome_days=OUTCOME_DAYS, wishes=Wishes(force=True))
    assert made["rows"] == 2_750 + 2 * len(lab.world.customers)
    after = learn(lab.workspace, as_of=moment(LATE))
    assert (after["posterior"], after["prior"]) == (made["posterior"], made["prior"])
    assert counted(after) == dict.fromkeys(counted(after), 0)


def test_decisions_without_feedback_are_left_out_where_silence_says_nothing(trained, tmp_path):
    lab = trained.copy(tmp_path)
    plan = lab.allocate(0, no_feedback="ignore")
    answers = lab.answers(plan, 0)[::3]
    lab.feed(answers, 5)
    made = learn(lab.workspace, as_of=moment(LATE))
    assert (made["folded"], made["filled"], made["waiting"]) == (len(answers), 0, 0)


def test_held_out_customers_teach_what_happens_without_an_offer(copies, heard, decided):
    """Their outcomes are folded into the arm of no offer."""
    with_control, without = copies(), copies()
    held = set()
    for plan in decided[1]:
        columns = decisions(plan, "decision_id", "held_out")
        held |= {d for d, out in zip(*columns.values(), strict=True) if out}
    rows = [*heard[0], *heard[1]]
    flipped = [replace(r, outcome=1, occurred_at=r.occurred_at) if r.decision_id in held else r for r in rows]
    with_control.feed(flipped, LATE)
    without.feed(rows, LATE)
    learned = [learn(lab.workspace, as_of=moment(LATE))["posterior"] for lab in (with_control, without)]
    assert learned[0] != learned[1]
    assert held
