"""Whatever fits or breaks the contract, the service answers it: generated requests to every operation, and no 5xx."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.generation.feedback import FeedbackSources
from schemathesis.pytest._test_builder import build_operation_test
from schemathesis.python._constants.orchestrator import make_constants_value_source

from api.service.contract import contract
from api.service.settings import Settings

if TYPE_CHECKING:
    from service_running import Running

CONTRACT = contract()
OPERATIONS = [f"{method.upper()} {path}" for path, methods in CONTRACT["paths"].items() for method in methods]
FEW, AT_ONCE, MANY = 5, 300, 20_000
ROUNDS = 40
NOT_HTTP = "Invalid HTTP request received."
QUIET: dict[str, Any] = {
    "deadline": None,
    "database": None,
    "suppress_health_check": list(HealthCheck),
    "phases": [Phase.explicit, Phase.generate],
}


@pytest.fixture(scope="module")
def operations() -> dict[str, Any]:
    """By label. Made where the tests run: `parametrize` of Schemathesis makes all cases wherever they are collected."""
    schema = schemathesis.openapi.from_dict(CONTRACT)
    return {operation.label: operation for operation in (found.ok() for found in schema.get_all_operations())}


@pytest.fixture(scope="module")
def shared(copies: Any, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Running]":
    """One service for all the generated cases."""
    from service_running import serving

    with copies.database():  # as long as it runs: some routes open the store anew
        home = Path(shutil.copytree(trained, tmp_path_factory.mktemp("generated") / "home"))
        told = Settings(home=home, port=0, requests_per_second=1e9, burst=1e9, failures_per_minute=1e9)
        with serving(told) as running:
            yield running


def answered(case: Any, running: "Running") -> int:
    """The status of the answer, which must not be a failure, and a problem document where it refuses.

    What is not HTTP never reaches the service: uvicorn refuses it in plain words.
    """
    answer = case.call(base_url=running.url, headers={"Authorization": f"Bearer {running.keys['admin']}"}, timeout=30)
    status = int(answer.status_code)
    assert status < 500, answer.text
    if status >= 400 and answer.text != NOT_HTTP:
        assert answer.headers["content-type"] == ["application/problem+json"], answer.text
    return status


def test_every_operation_of_the_contract_is_among_the_cases(operations: dict[str, Any]) -> None:
    assert sorted(operations) == sorted(OPERATIONS)


@pytest.mark.parametrize("label", OPERATIONS)
def test_nothing_that_fits_or_breaks_the_contract_makes_the_service_fail(
    label: str, operations: dict[str, Any], shared: "Running"
) -> None:
    @settings(max_examples=FEW, derandomize=True, **QUIET)
    def attempt(case: Any) -> None:
        answered(case, shared)

    schema = operations[label].schema
    every = FeedbackSources(constants_value_source=make_constants_value_source(schema))
    load_all_checks()
    build_operation_test(
        config=schema.config, operation=operations[label], test_func=attempt, given_kwargs={}, feedback=every
    )()


def generated(operation: Any, mode: GenerationMode, seed: int, running: "Running") -> list[int]:
    """The statuses that some generated cases of an operation were answered with; none where there are no such cases."""
    found: list[int] = []

    @hypothesis.seed(seed)
    @settings(max_examples=AT_ONCE, **QUIET)
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def attempt(case: Any) -> None:
        found.append(answered(case, running))

    try:
        attempt()
    except Unsatisfiable:
        return []
    return found


@pytest.mark.soak
def test_twenty_thousand_cases_and_the_service_never_fails(
    operations: dict[str, Any], shared: "Running", copies: Any, record_property: Callable[[str, object], None]
) -> None:
    left = [(operation, mode) for operation in operations.values() for mode in GenerationMode]
    seen: Counter[int] = Counter()
    for seed in range(ROUNDS):
        if seen.total() >= MANY:
            break
        more = []
        for operation, mode in left:
            statuses = generated(operation, mode, seed, shared)
            seen.update(statuses)
            if len(statuses) >= AT_ONCE:  # fewer: there are no others
                more.append((operation, mode))
        left = more
    statuses = ", ".join(f"{count:,} answered {status}" for status, count in sorted(seen.items()))
    told = f"{seen.total():,} cases over {len(operations)} operations: {statuses}; 0 of 5xx"
    record_property(f"generated cases, {copies.name}", told)
    assert seen.total() >= MANY
