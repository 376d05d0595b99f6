"""What a package hands out lazily is all there, under the names that it lists."""

import importlib
import pkgutil
import types

import pytest

LAZY = ("bandit", "governance", "portfolio", "warehouse")


@pytest.mark.parametrize("room", LAZY)
def test_every_listed_name_is_handed_out_and_is_no_module(room):
    package = importlib.import_module(room)
    modules = {found.name for found in pkgutil.iter_modules(package.__path__)}
    assert not modules & set(package.__all__), "Python would put the module in the name's place"
    for name in package.__all__:
        assert not isinstance(getattr(package, name), types.ModuleType), name


@pytest.mark.parametrize("room", LAZY)
def test_a_name_that_is_not_handed_out_is_refused(room):
    with pytest.raises(AttributeError, match="no attribute 'nothing_of_the_kind'"):
        _ = importlib.import_module(room).nothing_of_the_kind
