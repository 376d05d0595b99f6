"""The Accept header: what is liked best is sent, and where nothing will do nothing is done."""

import pytest
from starlette.datastructures import Headers

from api.service.accepting import JSON, NDJSON, PARQUET, check_accept, wanted
from api.service.problems import Problem

KINDS = (NDJSON, PARQUET)


def headers(*accept):
    return Headers(raw=[(b"accept", each.encode()) for each in accept])


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ((), NDJSON),
        (("",), NDJSON),
        (("*/*",), NDJSON),
        (("application/*",), NDJSON),
        ((PARQUET,), PARQUET),
        ((f"text/html, {PARQUET.upper()} ; v=1",), PARQUET),
        (("text/html", PARQUET), PARQUET),
        ((f"{NDJSON};q=0.5, {PARQUET};q=0.75",), PARQUET),
        ((f"*/*;q=0.1, {NDJSON};q=0",), PARQUET),
        ((f"{PARQUET};q=0.3, application/*;q=0.2",), PARQUET),
    ],
)
def test_the_kind_that_is_liked_best_is_sent(accept, kind):
    assert wanted(headers(*accept), KINDS) == kind


@pytest.mark.parametrize("accept", ["text/html", "*/*;q=0", f"*/*, {NDJSON};q=0, {PARQUET};q=0.000", "/", ";", "json"])
def test_where_no_kind_will_do_it_is_said_which_there_are(accept):
    with pytest.raises(Problem) as error:
        wanted(headers(accept), KINDS)
    assert error.value.status == 406
    assert PARQUET in error.value.detail


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/decisions", JSON),
        ("/v1/rules/events", JSON),
        ("/v1/allocations/a/events", "text/event-stream"),
        ("/v1/simulations/a/events", "text/event-stream"),
        ("/v1/allocations/a/decisions", PARQUET),
        ("/metrics", "text/plain"),
    ],
)
def test_each_path_has_its_kinds(path, kind):
    check_accept({"path": path}, headers(kind))
    with pytest.raises(Problem):
        check_accept({"path": path}, headers("image/png"))
