"""How a package hands out its names without importing what stands behind them before one is asked for."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazily(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """A package's `__getattr__`: the module that a name stands in is imported when the name is first asked for.

    A short command then loads the few modules that it needs. No module may have the name of something it hands out:
    Python would put the module in its place.

    Args:
        package: its `__name__`.
        modules: for each of its modules the names that it hands out, between blanks.
    """
    place = {name: module for module, names in modules.items() for name in names.split()}

    def __getattr__(name: str) -> Any:  # noqa: N807 (it becomes the package's own)
        if name not in place:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = getattr(import_module(f"{package}.{place[name]}"), name)
        setattr(sys.modules[package], name, found)
        return found

    return __getattr__
