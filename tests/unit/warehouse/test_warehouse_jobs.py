"""Durable jobs: asked for once, done by one worker at a time, and gone on with by another when one falls silent."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from allot import NotFoundError
from warehouse import JobCancelledError, JobLostError, Jobs, digest_of
from warehouse.jobs import MOST_LOST

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEASE = timedelta(seconds=30)
LATER = NOW + timedelta(seconds=31)


@pytest.fixture
def jobs(store):
    return Jobs(store)


def ask(jobs, job_id="job-1", *, key=None, document=None, kind="sum", at=NOW):
    return jobs.submit(job_id, kind, document or {"n": 1}, key=key, by="ada", now=at)


def claim(jobs, worker="w1", *, at=NOW):
    return jobs.claim(worker, ("sum",), now=at, lease=LEASE)


def test_a_request_key_is_one_job_for_ever_whatever_is_asked_the_next_time(jobs):
    first = ask(jobs, key="k")
    assert ask(jobs, "job-2", key="k") == first
    other = ask(jobs, "job-3", key="k", document={"n": 2})
    assert other == first
    assert other.digest != digest_of({"n": 2})
    jobs.end(claim(jobs), "done", now=NOW, result=3)
    assert ask(jobs, "job-4", key="k", at=LATER).result == 3
    assert ask(jobs, "job-5", key="k", kind="product").job_id == "job-5"
    assert ask(jobs, "job-6").job_id == "job-6"


def test_of_many_who_ask_with_one_key_at_the_same_time_one_makes_the_job(jobs):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda i: ask(jobs, f"job-{i}", key="k").job_id, range(24)))
    assert len(set(made)) == 1
    assert len(jobs.list(kind="sum")) == 1


def test_each_job_is_claimed_once_oldest_first(jobs):
    for i in range(24):
        ask(jobs, f"job-{i:02d}", at=NOW - timedelta(seconds=100 - i))
    assert claim(jobs).job_id == "job-00"
    with ThreadPoolExecutor(6) as pool:
        found = [job.job_id for job in pool.map(lambda i: claim(jobs, f"w{i}"), range(40)) if job]
    while (job := claim(jobs)) is not None:  # whoever looks while another claims may find nothing: it looks again
        found.append(job.job_id)
    assert sorted(found) == [f"job-{i:02d}" for i in range(1, 24)]


def test_a_worker_that_fell_silent_has_lost_its_job_and_can_write_nothing_more_about_it(jobs):
    ask(jobs)
    lost = claim(jobs)
    assert claim(jobs, "w2", at=NOW + LEASE / 2) is None
    job = claim(jobs, "w2", at=LATER)
    assert (job.job_id, job.attempt) == (lost.job_id, 2)
    for write in (
        lambda: jobs.beat(lost, now=LATER, lease=LEASE),
        lambda: jobs.report(lost, "sum", 1, 2, now=LATER),
        lambda: jobs.step(lost, "one", lambda: "stale", now=lambda: LATER),
        lambda: jobs.end(lost, "done", now=LATER, result="stale"),
        lambda: jobs.give_back(lost, now=LATER, wait=timedelta()),
    ):
        with pytest.raises(JobLostError):
            write()
    assert jobs.step(job, "one", lambda: "fresh", now=lambda: LATER) == "fresh"
    jobs.end(job, "done", now=LATER, result="fresh")
    assert jobs.get(job.job_id).result == "fresh"


def test_a_beat_keeps_a_job(jobs):
    ask(jobs)
    job = claim(jobs)
    jobs.beat(job, now=NOW + LEASE / 2, lease=LEASE)
    assert claim(jobs, "w2", at=LATER) is None


def test_finished_steps_are_not_repeated(jobs):
    ask(jobs)
    done = []

    def work(name):
        done.append(name)
        return {"step": name}

    first = claim(jobs)
    assert jobs.step(first, "one", lambda: work("one"), now=lambda: NOW) == {"step": "one"}
    second = claim(jobs, "w2", at=LATER)
    assert jobs.step(second, "one", lambda: work("one"), now=lambda: LATER) == {"step": "one"}
    jobs.step(second, "two", lambda: work("two"), now=lambda: LATER)
    assert done == ["one", "two"]


def test_a_step_that_fails_is_not_recorded(jobs):
    ask(jobs)
    job = claim(jobs)
    with pytest.raises(ZeroDivisionError):
        jobs.step(job, "one", lambda: 1 / 0, now=lambda: NOW)
    assert jobs.step(job, "one", lambda: 2, now=lambda: NOW) == 2


def test_a_job_that_takes_its_workers_with_it_fails(jobs):
    ask(jobs)
    at = NOW
    for _ in range(MOST_LOST):
        assert claim(jobs, at=at) is not None
        at += timedelta(seconds=31)
    assert claim(jobs, at=at) is None
    found = jobs.get("job-1")
    assert (found.state, found.ended_at) == ("failed", at)
    assert "fell silent" in found.error["what"]


def test_giving_back_is_no_loss_and_waits(jobs):
    ask(jobs)
    at = NOW
    for _ in range(2 * MOST_LOST):
        jobs.give_back(claim(jobs, at=at), now=at, wait=timedelta(seconds=5))
        assert claim(jobs, at=at + timedelta(seconds=4)) is None
        at += timedelta(seconds=5)
    assert jobs.get("job-1").state == "queued"


def test_cancelling_stops_a_waiting_job_at_once_and_a_running_one_when_it_next_says_that_it_lives(jobs):
    ask(jobs)
    assert jobs.cancel("job-1", now=NOW).state == "cancelled"
    assert claim(jobs) is None
    ask(jobs, "job-2")
    job = claim(jobs)
    assert jobs.cancel("job-2", now=NOW).state == "running"
    with pytest.raises(JobCancelledError):
        jobs.beat(job, now=NOW, lease=LEASE)
    jobs.end(job, "cancelled", now=NOW)
    assert jobs.cancel("job-2", now=LATER).ended_at == NOW
    with pytest.raises(NotFoundError):
        jobs.cancel("job-3", now=NOW)


def test_a_job_that_should_stop_is_not_begun_again_when_its_worker_is_lost(jobs):
    ask(jobs)
    claim(jobs)
    jobs.cancel("job-1", now=NOW)
    assert claim(jobs, "w2", at=LATER) is None
    assert jobs.get("job-1").state == "cancelled"


def test_what_happened_to_a_job_is_told_in_order_and_without_gaps(jobs):
    ask(jobs)
    job = claim(jobs)
    jobs.report(job, "read", 0, 10, now=NOW)
    jobs.report(job, "read", 10, 10, now=NOW)
    jobs.end(job, "done", now=LATER, result=[1])
    told = jobs.events("job-1")
    assert [event.event for event in told] == [1, 2, 3, 4, 5]
    assert [(event.state, event.stage, event.done) for event in told] == [
        ("queued", "", 0),
        ("running", "", 0),
        ("running", "read", 0),
        ("running", "read", 10),
        ("done", "", 0),
    ]
    assert jobs.events("job-1", after=3) == told[3:]
    assert jobs.events("job-0") == ()


def test_the_jobs_of_a_worker_that_is_known_to_be_gone_are_claimed_at_once_and_those_of_others_are_not(jobs):
    for i in range(3):
        ask(jobs, f"job-{i}")
    lost, kept = claim(jobs, "worker-1-77-writing"), claim(jobs, "worker-11-78-writing")
    assert jobs.give_up("worker-1-", now=NOW) == 1
    again = claim(jobs, "worker-1-99-writing")
    assert (again.job_id, again.attempt) == (lost.job_id, 2)
    assert claim(jobs, "worker-1-99-writing").job_id == "job-2"
    with pytest.raises(JobLostError):
        jobs.beat(lost, now=NOW, lease=LEASE)
    jobs.beat(kept, now=NOW, lease=LEASE)


def test_jobs_of_one_moment_are_all_found_page_by_page(jobs):
    for i in range(4):
        ask(jobs, f"job-{i}")
    first = jobs.list(kind="sum", most=2)
    rest = jobs.list(kind="sum", before=first[-1])
    assert [job.job_id for job in (*first, *rest)] == ["job-0", "job-1", "job-2", "job-3"]


def test_jobs_are_listed_by_kind_newest_first(jobs):
    for i in range(5):
        ask(jobs, f"job-{i}", at=NOW + timedelta(seconds=i))
    ask(jobs, "other", kind="product")
    assert [job.job_id for job in jobs.list(kind="sum", most=2)] == ["job-4", "job-3"]
    assert [job.job_id for job in jobs.list(kind="sum", before=jobs.get("job-3"))] == ["job-2", "job-1", "job-0"]
    assert jobs.waiting() == 6
