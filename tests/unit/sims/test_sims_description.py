"""A world is described by the keys that differ from `nbo`; whatever is wrong is refused by its place."""

import re
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import pytest

from allot import CampaignError
from sims import WORLDS, Description, build, described
from sims.description import NBO, Alone, Drift, Offering, from_file, read

DOCS = Path(__file__).resolve().parents[3] / "docs/simulation.md"


def test_an_empty_description_is_the_reference_world():
    assert read({"name": "mine"}) == replace(NBO, name="mine")


def test_a_file_says_only_what_differs(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("""
name = "mine"
like = "nbo-trees"
days = 20
fatigue = 1
[offers]
count = 20
arrivals = [0.25, 0.5]
[drift]
kind = "gradual"
""")
    expected = replace(
        WORLDS["nbo-trees"],
        name="mine",
        days=20,
        fatigue=1.0,
        offers=Offering(count=20, arrivals=(0.25, 0.5)),
        drift=Drift("gradual"),
    )
    assert from_file(path) == described(str(path)) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = ", r"world\.toml: .*at end of document.*Mend the syntax"),
        ("", "'name' is missing"),
        ('name = "nbo"', "the name 'nbo' is taken"),
        ('name = "x"\nlike = "no"', "like = 'no' is not one of nbo, nbo-trees"),
        ('name = "x"\nday = 3', r"world\.toml: field 'day' is unknown. Did you mean 'days'"),
        ('name = "x"\n[drift]\nkinds = "none"', r"\[drift\]: field 'kinds' is unknown. Did you mean 'kind'"),
        ('name = "x"\n[drift]\nkind = "slow"', "kind = 'slow' is not one of none, sudden, gradual, recurring"),
        ('name = "x"\n[drift]\nat = 1.5', r"\[drift\]: at = 1.5 is not between 0 and 1"),
        ('name = "x"\ndays = 2.5', "days = 2.5 is not a whole number between 1 and 3650"),
        ('name = "x"\ndays = true', "days = True is not a whole number"),
        ('name = "x"\nfatigue = "much"', "fatigue = 'much' is not a finite number"),
        ('name = "x"\nfatigue = nan', "fatigue = nan is not a finite number"),
        ('name = "x"\ndrift = 3', r"\[drift\]: is 3, not a table"),
        ('name = "x"\n[offers]\narrivals = 0.5', "arrivals = 0.5 is no list"),
        ('name = "x"\n[offers]\narrivals = [0.5, 2]', r"arrivals\[1\] = 2 is not between 0 and 1"),
        ('name = "x"\n[offers]\nwarm = 13', "more offers are warm than there are"),
        ('name = "x"\n[offers]\narrivals = [0, 0, 0, 0, 0]', "more offers arrive than are cold"),
        ('name = "x"\n[offers]\nwarm = 3\nretirements = [0, 0, 0]', "no warm offer would stay"),
        ('name = "x"\nworkspace = ""', "workspace = '' is not a text that is not empty"),
        ('name = "x"\nlike = "nbo-trees"\nworkspace = "here"', r"log of the workspace settles.*Drop \[taste\]"),
        ('name = "x"\nworkspace = "here"\n[offers]\ncount = 9', "log of the workspace settles .* offers"),
        ('name = "x"\ndata = "0123"', "Add workspace"),
        ('name = "../x"', "the name cannot be that of a folder"),
        ('name = ".x"', "a letter or digit first"),
        ("name = 'a\"b'", "Write letters, digits"),
        ('name = "x"\n[alone]\nsure_things = 0.6\nlost_causes = 0.6', "add up to more than 1"),
    ],
)
def test_what_is_wrong_is_refused_by_its_place(text, said, tmp_path):
    path = tmp_path / "world.toml"
    path.write_text(text)
    with pytest.raises(CampaignError, match=said):
        from_file(path)


def test_in_python_the_same_ranges_hold():
    with pytest.raises(CampaignError, match="Drift: size = -1"):
        Drift(size=-1.0)
    with pytest.raises(CampaignError, match="add up to more than 1"):
        Description(alone=Alone(0.5, 0.5, 0.5))


def test_an_unknown_world_is_refused_with_the_names_there_are(tmp_path):
    with pytest.raises(CampaignError, match=r"'mars' is unknown\. There are nbo, nbo-trees"):
        described("mars")
    with pytest.raises(CampaignError, match="cannot be read"):
        described(str(tmp_path / "none.toml"))


@pytest.mark.parametrize("name", WORLDS)
def test_every_named_world_can_be_built(name):
    about = described(name)
    world = build(replace(about, per_day=4, history=60), 1)
    assert (world.name, about.name) == (name, name)
    assert world.value(world.days - 1).shape == (200, 13)


def test_the_docs_name_every_world_and_every_key_with_its_default():
    text = DOCS.read_text()
    for name in WORLDS:
        assert f"`{name}`" in text
    for key in fields(Description):
        default = getattr(NBO, key.name)
        section = fields(default) if is_dataclass(default) else ()
        for table, entry, value in [(f"[{key.name}] ", x.name, getattr(default, x.name)) for x in section] or [
            ("", key.name, default)
        ]:
            shown = list(value) if isinstance(value, tuple) else value
            plain = (
                "none"
                if shown is None
                else f'"{shown}"'
                if isinstance(shown, str)
                else f"{shown:g}"
                if isinstance(shown, float)
                else str(shown)
            )
            row = rf"\| `{re.escape(table + entry)}` \| `?{re.escape(plain)}`? \|"
            assert re.search(row, text), f"{table}{entry} with {plain}"
