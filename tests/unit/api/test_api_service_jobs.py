"""Running jobs: what a job says of itself while it runs, how it ends, and what stops it."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from allot import DataError, LockedError, WorkspaceError
from api.service.jobs import LEASE, Runner
from api.service.metrics import Metrics
from api.service.pulse import Pulse
from api.service.worker import Every, Lane
from api.service.worker import run as run_worker
from warehouse import Jobs, Workspace, make_store, open_store

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def place(tmp_path):
    workspace = Workspace.init(tmp_path / "workspace")
    make_store(workspace)
    with open_store(workspace) as store:
        yield workspace, store


def run(place, work, *, now=NOW, **options):
    """A job of that work, after one turn of a runner."""
    workspace, store = place
    jobs = Jobs(store)
    job = jobs.submit("job-1", "work", {"n": 2}, key="k", by="ada", now=NOW)
    Runner(workspace, store, "w1", {"work": work}, now=lambda: now, **options).run_next()
    return jobs.get(job.job_id)


def test_a_job_ends_with_what_its_work_gave(place):
    def work(context, document):
        context.reporter("double", 0, 1)
        context.reporter("double", 1, 1)
        return {"doubled": 2 * document["n"], "by": context.asked_by, "in": context.workspace.root.name}

    job = run(place, work)
    assert (job.state, job.result) == ("done", {"doubled": 4, "by": "ada", "in": "workspace"})
    told = [(event.state, event.stage, event.done) for event in Jobs(place[1]).events("job-1")]
    assert told == [
        ("queued", "", 0),
        ("running", "", 0),
        ("running", "double", 0),
        ("running", "double", 1),
        ("done", "", 0),
    ]


def test_a_job_is_timed_by_its_kind_also_where_it_fails(place):
    def work(*_):
        raise DataError("the file is gone.")

    metrics = Metrics()
    run(place, work, measured=metrics.stage)
    assert metrics.registry.get_sample_value("allot_stage_seconds_count", {"stage": "work"}) == 1


def test_the_worker_times_its_chores_and_counts_its_cpu(place):
    workspace, store = place
    metrics, stopping = Metrics(), threading.Event()
    chore = Every("tidy", 60.0, lambda *_: stopping.set())
    lane = Lane("w", ({}, (chore,)), now=lambda: NOW, lease=LEASE, stopping=stopping, metrics=metrics)
    lane.add(workspace, store)
    Pulse(metrics, "worker", 1.0).close()
    lane.run()
    assert metrics.registry.get_sample_value("allot_stage_seconds_count", {"stage": "tidy"}) == 1
    assert metrics.registry.get_sample_value("allot_cpu_seconds_total", {"process": "worker"}) > 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_ends_whole_where_a_lane_meets_a_defect(place):
    def defect(*_):
        raise KeyError("a defect")

    lanes = {"calm": ({}, ()), "spoilt": ({}, (Every("defect", 60.0, defect),))}
    stopping = threading.Event()
    with pytest.raises(WorkspaceError, match="spoilt ended by a defect"):
        run_worker(place[0].root, 0, stopping=stopping, now=lambda: NOW, lanes=lanes)
    assert stopping.is_set()


def test_within_a_stage_progress_is_kept_twice_a_second_at_most(place):
    def work(context, _):
        for done in range(1_001):
            context.reporter("many", done, 1_000)

    run(place, work)
    assert len(Jobs(place[1]).events("job-1")) < 10


def test_an_error_of_ours_is_told_in_words(place):
    def work(*_):
        raise DataError("is wrong.", where="customers", remedy="Mend it.")

    job = run(place, work)
    said = {"kind": "DataError", "where": "customers", "what": "is wrong.", "remedy": "Mend it."}
    assert (job.state, job.error) == ("failed", said)


def test_a_defect_fails_its_job_alone_and_says_nothing_of_the_inside(place):
    def work(*_):
        raise KeyError("secret")

    job = run(place, work)
    assert job.state == "failed"
    assert "KeyError" in job.error["what"]
    assert "secret" not in str(job.error)


def test_a_locked_workspace_is_tried_again_later(place):
    def work(*_):
        raise LockedError("another allot command is writing.")

    assert run(place, work).state == "queued"
    assert run(place, lambda *_: "late").state == "queued"
    assert run(place, lambda *_: "late", now=NOW + timedelta(seconds=2)).result == "late"


def test_cancelling_reaches_a_job_at_its_next_report(place):
    begun = threading.Event()

    def work(context, _):
        begun.set()
        for done in range(200):
            threading.Event().wait(0.02)
            context.reporter("long", done, 1_000)
        return "never"

    thread = threading.Thread(target=run, args=(place, work), kwargs={"lease": timedelta(seconds=0.3)})
    thread.start()
    begun.wait()
    Jobs(place[1]).cancel("job-1", now=NOW)
    thread.join()
    assert Jobs(place[1]).get("job-1").state == "cancelled"


def test_a_worker_that_is_told_to_stop_gives_its_job_back(place):
    stopping = threading.Event()

    def work(context, _):
        stopping.set()
        context.reporter("half", 1, 2)

    assert run(place, work, stopping=stopping).state == "queued"


def test_a_step_is_done_once_though_the_job_is_begun_twice(place):
    done = []

    def work(context, _):
        first = context.step("first", lambda: done.append("first") or "kept")
        if len(done) == 1:
            done.append("locked")
            raise LockedError("later.")
        return first

    assert run(place, work).state == "queued"
    assert run(place, work, now=NOW + timedelta(seconds=2)).result == "kept"
    assert done == ["first", "locked"]
