"""The long runs: every test marked soak is in one part, and a page says what failed."""

from pathlib import Path

import pytest

from tests.soak import SERVICE, STATISTICAL, all_pass, service_page
from tests.soak_runs import ROOT, Run, recorded

RECORD = """<testsuites><testsuite>
<testcase file="../lib/wrapper.py" classname="tests.architecture.test_soak_parts" name="one" time="30.0">
  <properties><property name="kills" value="2,000, 0 events lost"/></properties></testcase>
<testcase file="tests/architecture/test_soak_parts.py" name="two" time="60.0">{what}</testcase>
</testsuite></testsuites>"""


@pytest.mark.parametrize("path", [*SERVICE, STATISTICAL])
def test_what_parts_are_made_of_is_there(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize(
    ("what", "status", "verdict", "told"),
    [("", 0, "Holds", "2 passed"), ("<failure/>", 1, "**FAILS**", "1 passed, 1 **FAILED**")],
    ids=["kept", "broken"],
)
def test_a_page_says_of_every_file_what_it_proves_its_figures_and_what_failed(
    what: str, status: int, verdict: str, told: str, tmp_path: Path
) -> None:
    record = tmp_path / "record.xml"
    record.write_text(RECORD.format(what=what))
    run = Run(status, "=== 2 passed in 90.0s ===", recorded(record))
    page = service_page([run], 120.0)
    assert f"\n{verdict}: tests marked soak: 2 passed in 90.0s.\n" in page
    assert (
        f"| The long runs: every test marked soak is in one part, and a page says what failed. | {told} | 1.5 |" in page
    )
    assert "- kills: 2,000, 0 events lost." in page
    assert ", 2 minutes." in page


def test_where_pytest_does_not_get_as_far_as_its_record_nothing_holds(tmp_path: Path) -> None:
    run = Run(4, "ERROR: file or directory not found", recorded(tmp_path / "never.xml"))
    assert not all_pass([run]).holds
    assert "**FAILS**: tests marked soak: none." in service_page([run], 0.0)
