"""The page about the service names everything that can be set, and every kind of refusal."""

import re
from pathlib import Path

import pytest

from api.service.problems import _KINDS
from api.service.settings import Settings

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "service.md").read_text()
RAISED = re.compile(r"Problem\(\s*(\d{3}), \"([a-z-]+)\"")
ELSEWHERE = {"jwt_audience", "jwt_keys", "jwt_leeway_seconds", "jwt_tenant_claim"}  # written short, after their kin


def _raised() -> set[tuple[str, str]]:
    """Status and kind of every problem in the code."""
    code = [path.read_text() for path in (ROOT / "api" / "service").rglob("*.py")]
    ours = {(str(status), kind) for status, kind, _ in _KINDS.values()}
    return ours | {found for text in code for found in RAISED.findall(text)}


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_is_on_the_page(name: str) -> None:
    short = name.removeprefix("jwt") if name in ELSEWHERE else f"ALLOT_{name}"
    assert f"`{short.upper()}`" in PAGE


def test_every_kind_of_refusal_is_in_the_table() -> None:
    rows = [row.split("|")[1:3] for row in PAGE.splitlines() if re.match(r"\| \d{3}", row)]
    table = {(status, kind) for left, right in rows for status in left.split(",") for kind in right.split(",")}
    table = {(status.strip(), kind.strip()) for status, kind in table}
    assert len(_raised()) > 15
    assert _raised() <= table
