"""The house stands where it should: our packages are ours and light to import, and the whole lock imports."""

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import distributions
from itertools import count
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("allot", "bandit", "portfolio", "offline_eval", "governance", "warehouse", "engine", "sims", "api")
CORE = ("bandit", "portfolio", "offline_eval")
HEAVY = ("duckdb", "sqlmodel", "sqlalchemy", "fastapi", "pyarrow", "lightgbm", "cvxpy", "altair")


def _fresh(code: str) -> str:
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    return run.stdout


def _once_within(limit: float, cpu_seconds: Callable[[], float]) -> bool:
    """Is the best of three below the limit, because the machine is shared? The first below it decides."""
    return any(cpu_seconds() < limit for _ in range(3))


@pytest.mark.parametrize("room", ROOMS)
def test_each_package_is_imported_from_this_tree(room: str) -> None:
    """The security linter `bandit` would install the same name and silently overwrite ours."""
    module = importlib.import_module(room)
    assert Path(str(module.__file__)).resolve().parent == ROOT / room


@pytest.mark.parametrize("room", CORE)
def test_the_core_imports_fast_and_without_databases(room: str) -> None:
    code = (
        f"import json, sys, time; t = time.process_time(); import {room}; "
        f"print(json.dumps([time.process_time() - t, sorted(m for m in {HEAVY!r} if m in sys.modules)]))"
    )

    def seconds() -> float:
        found, loaded = json.loads(_fresh(code))
        assert loaded == []
        return float(found)

    assert _once_within(1.0, seconds)


def test_help_answers_in_under_a_second() -> None:
    code = (
        "import resource, subprocess, sys; "
        "subprocess.run([sys.executable, '-m', 'api.cli', '--help'], check=True, stdout=subprocess.DEVNULL); "
        "u = resource.getrusage(resource.RUSAGE_CHILDREN); print(u.ru_utime + u.ru_stime)"
    )
    assert _once_within(1.0, lambda: float(_fresh(code)))


NOT_AT_FIRST = ("scipy.linalg", "scipy.optimize", "scipy.stats", "lightgbm", "cvxpy", "altair")
USE_CASES = {
    "engine.workspaces": ("numpy", "pyarrow", "duckdb", "sqlalchemy", "sqlglot", "numba", "bandit", "portfolio"),
    "engine.feedback": ("duckdb", "sqlglot", "numba", "bandit", "portfolio"),
    "engine.allocate": ("duckdb", "sqlglot", "numba", "bandit.prior", "portfolio.limits"),
    "engine.evaluate": ("duckdb", "sqlglot", "portfolio.limits"),
    "engine.learn": ("duckdb", "sqlglot", "portfolio.limits", "bandit.choice"),
    "engine.explain": ("duckdb", "sqlglot", "portfolio.limits"),
    "engine.train": ("duckdb", "sqlglot", "portfolio.limits", "bandit.choice"),
}


def test_a_use_case_loads_nothing_that_it_does_not_need() -> None:
    """Importing costs more than most commands' own work.

    One process imports the first two, and a fork of it each of the others: what is not loaded with the first two
    there is not loaded without them either.
    """
    first = ("engine.workspaces", "engine.feedback")
    code = f"""
import importlib, os, sys

def check(module, unwanted):
    importlib.import_module(module)
    print(module, [m for m in (*{NOT_AT_FIRST!r}, *unwanted) if m in sys.modules], flush=True)

cases = {USE_CASES!r}
for module in {first!r}:
    check(module, cases.pop(module))
for module, unwanted in cases.items():
    if os.fork() == 0:
        check(module, unwanted)
        os._exit(0)
    os.wait()
"""
    assert _fresh(code).splitlines() == [f"{module} []" for module in USE_CASES]


def _main(*arguments: str) -> tuple[float, set[str]]:
    """CPU seconds of one command, and the modules that it has loaded at its end."""
    code = (
        f"import sys; sys.argv = ['allot', *{arguments!r}]\n"
        "import atexit, json, time\n"
        "atexit.register(lambda: print(json.dumps([time.process_time(), sorted(sys.modules)]), file=sys.stderr))\n"
        "from api.cli import main; main()"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    seconds, modules = json.loads(run.stderr.splitlines()[-1])
    return seconds, set(modules)


def test_init_answers_at_once_and_without_libraries(tmp_path: Path) -> None:
    number = count()

    def seconds() -> float:
        found, loaded = _main("init", "--workspace", str(tmp_path / str(next(number))))
        assert not loaded & {"numpy", "pyarrow", "duckdb", "sqlalchemy", "alembic", "numba"}
        return found

    assert _once_within(0.5, seconds)


def test_load_needs_no_kernels_and_no_operational_database(tmp_path: Path) -> None:
    _main("init", "--workspace", str(tmp_path / "w"))
    (tmp_path / "people.csv").write_text("customer_id,age\na,30\nb,40\n")
    _, loaded = _main("load", "--customers", str(tmp_path / "people.csv"), "--workspace", str(tmp_path / "w"))
    assert not loaded & {"sqlalchemy", "numba", "scipy", "lightgbm", "bandit", "portfolio"}


def _locked() -> list[str]:
    text = (ROOT / "requirements/dev.txt").read_text()
    return re.findall(r"^([a-zA-Z0-9_.-]+)==", text, re.MULTILINE)


def test_the_lock_is_hashed_and_names_no_address() -> None:
    text = (ROOT / "requirements/dev.txt").read_text()
    assert "://" not in text
    assert "--index-url" not in text
    for entry in re.split(r"\n(?=[a-zA-Z])", text.strip()):
        assert "--hash=sha256:" in entry, entry.splitlines()[0]


def test_everything_we_declare_imports_from_the_lock() -> None:
    """An import smoke test: each direct dependency is locked, installed and loads."""
    names = {
        "altair": "altair", "alembic": "alembic", "cvxpy": "cvxpy", "duckdb": "duckdb",
        "highspy": "highspy", "lightgbm": "lightgbm", "numba": "numba", "numpy": "numpy", "pyarrow": "pyarrow",
        "rich": "rich", "scipy": "scipy", "sqlglot": "sqlglot", "sqlmodel": "sqlmodel",
        "typer": "typer", "vl-convert-python": "vl_convert", "hypothesis": "hypothesis", "pytest": "pytest",
    }  # fmt: skip
    locked = set(_locked())
    assert set(names) <= locked
    installed = {d.metadata["Name"].lower().replace("_", "-") for d in distributions()}
    assert set(names) <= installed
    code = "; ".join(f"import {module}" for module in names.values()) + "; print('ok')"
    assert _fresh(code).strip() == "ok"


def test_no_file_names_a_path_of_the_machine_it_was_written_on() -> None:
    files = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=True).stdout.split()
    home = f"{ROOT}/"
    named = [f for f in files if (ROOT / f).is_file() and home in (ROOT / f).read_text(errors="ignore")]
    assert named == []


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")], ids=lambda page: page.name)
def test_no_page_has_the_marks_of_a_merge(page: Path) -> None:
    assert not re.search(r"^(<{7} |={7}$|>{7} )", page.read_text(encoding="utf-8"), re.MULTILINE)
