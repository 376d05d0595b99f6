"""The SQL files of this room, with the names of the relations they read."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "sql"
_RELATION = re.compile(r"\$\{(\w+)\}")


@cache
def _text(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def statement(name: str, relations: Mapping[str, str]) -> str:
    """The text of `sql/<name>` with `${relation}` replaced by quoted names; `$parameters` are left for the database."""
    return _RELATION.sub(lambda found: '"' + relations[found[1]].replace('"', '""') + '"', _text(name))
