"""A policy is a learner and an allocation; whatever is neither is refused in one line that says what there is."""

import pytest

from allot import CampaignError
from sims.days import LEARNERS
from sims.policies import ALLOCATIONS, BELIEVERS, ORACLE, Policy, policies_of, policy_of
from sims.study import seeds_of


@pytest.mark.parametrize("learner", [*LEARNERS, ORACLE])
@pytest.mark.parametrize("allocation", ALLOCATIONS)
def test_every_name_is_read_back(learner, allocation):
    if allocation == "balanced" and learner not in BELIEVERS:
        with pytest.raises(CampaignError, match="no beliefs"):
            policy_of(f"{learner}/{allocation}")
        return
    policy = policy_of(f"{learner}/{allocation}")
    assert policy == Policy(learner, allocation)
    assert policy_of(policy.name) == policy


def test_named_alone_everybody_has_an_allocation_that_suits_him():
    assert policy_of("allot") == policy_of("allot/balanced")
    assert policy_of("lints") == policy_of(" lints/optimum ")
    assert policy_of("uniform") == policy_of("uniform/first-come")
    assert policy_of("best-static") == policy_of("best-static/first-come")
    assert policy_of("allot/balanced").name == "allot"
    assert policy_of("allot/optimum").name == "allot/optimum"


def test_a_policy_named_twice_is_played_once():
    assert policies_of("lints,allot,lints/optimum") == (policy_of("lints"), policy_of("allot"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nobody", "prior-greedy"),
        ("", "allot"),
        ("allot,", "allot"),
        ("allot/", "first-come"),
        ("allot/fairly", "best-first"),
    ],
)
def test_unknown_names_are_refused_with_those_that_there_are(text, told):
    with pytest.raises(CampaignError) as refused:
        policies_of(text)
    assert told in refused.value.remedy
    assert refused.value.where == "--policies"


@pytest.mark.parametrize(("text", "seeds"), [("7", (7,)), ("0-2", (0, 1, 2)), ("0-999", tuple(range(1000)))])
def test_seeds_are_one_or_a_range(text, seeds):
    assert seeds_of(text) == seeds


@pytest.mark.parametrize("text", ["", "x", "3-1", "1-2-3", "-1", "0-1000", "1.5"])
def test_other_seeds_are_refused(text):
    with pytest.raises(CampaignError, match="no seed or range"):
        seeds_of(text)
