"""Problems say which field, and echo little."""

import pytest

from allot import AllotError, BusyError, CampaignError, DataError, LimitError, NotFoundError, RuleError, WorkspaceError
from api.service.problems import Problem, echo, pointer, problem_of, said


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFoundError, 404), (CampaignError, 422), (LimitError, 422), (RuleError, 422), (DataError, 422),
        (BusyError, 503), (WorkspaceError, 503), (AllotError, 500),
    ],
)  # fmt: skip
def test_each_error_of_ours_has_its_status_and_503_says_when_to_come_again(
    error: type[AllotError], status: int
) -> None:
    problem = problem_of(error("what is wrong.", where="limits[0]", remedy="Do that."))
    assert problem.status == status
    assert ("Retry-After" in problem.headers) == (status == 503)
    assert problem.document()["detail"] == "limits[0]: what is wrong. Do that."


def test_what_came_in_is_echoed_short_and_visible() -> None:
    assert echo("a" * 100) == "'" + "a" * 60 + "…'"
    assert echo("\x1b[31m\x00\ud800\u2028") == "'\\u001b[31m\\u0000\\ud800\\u2028'"
    assert pointer(["limits", 0, "a/b~", "x" * 100]) == "/limits/0/a~1b~0/" + "x" * 60


def test_long_quotations_in_our_own_sentences_are_cut() -> None:
    assert said(f"field '{'x' * 10_000}' is unknown.") == f"field '{'x' * 60}…' is unknown."
    assert len(said("y" * 1_000_000)) == 2_000


def test_empty_members_are_left_out() -> None:
    document = Problem(404, "not-found", "There is no such thing").document()
    assert document == {"type": "urn:allot:problem:not-found", "title": "There is no such thing", "status": 404}
