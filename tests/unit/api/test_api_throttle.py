"""So many at once, then so many a second."""

from api.service.throttle import Buckets


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    buckets = Buckets(10.0, 5.0)
    assert [buckets.wait("a", 0.0, 1.0) for _ in range(5)] == [0.0] * 5
    assert abs(buckets.wait("a", 0.0, 1.0) - 0.1) < 1e-9
    given = sum(buckets.wait("a", i / 1_000, 1.0) == 0 for i in range(1, 2_001))
    assert given in (19, 20)  # the last is due at the last moment


def test_names_do_not_share_and_asking_takes_nothing() -> None:
    buckets = Buckets(1.0, 1.0)
    assert all(buckets.wait("a", 0.0, 0.0) == 0 for _ in range(10))
    assert buckets.wait("a", 0.0, 1.0) == 0
    assert buckets.wait("a", 0.0, 0.0) > 0
    assert buckets.wait("b", 0.0, 1.0) == 0


def test_a_clock_that_stands_still_gives_nothing_more() -> None:
    buckets = Buckets(1_000.0, 3.0)
    assert sum(buckets.wait("a", 7.0, 1.0) == 0 for _ in range(100)) == 3
