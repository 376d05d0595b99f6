import pytest
from engine_calibration import DRAWS, N, campaign, played


@pytest.fixture(scope="session")
def case():
    return campaign()


@pytest.fixture(scope="session")
def choices(case):
    return played(N, DRAWS)
