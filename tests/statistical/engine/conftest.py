import pytest
from engine_calibration import DRAWS, campaign


@pytest.fixture(scope="session")
def case():
    return campaign()


@pytest.fixture(scope="session")
def choices(case):
    return case.choices(range(DRAWS))
