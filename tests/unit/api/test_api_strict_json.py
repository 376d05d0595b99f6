"""Bodies are one thing to every reader, or they are refused."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from api.service.problems import Problem
from api.service.strict_json import MAX_DEPTH, MAX_TEXT, Unsound, checked, parse

UNSOUND = {
    "nan": b'{"a": NaN}',
    "infinity": b'{"a": -Infinity}',
    "huge float": b'{"a": 1e400}',
    "huge integer": b'{"a": ' + b"9" * 5_000 + b"}",
    "65 bits": b'{"a": 9223372036854775808}',
    "lone surrogate": b'{"a": "\\ud800"}',
    "reversed pair": b'{"a": "\\udc00\\ud800"}',
    "lone surrogate in a key": b'{"\\udfff": 1}',
    "nul": b'{"a": "x\\u0000"}',
    "nul in a key": b'{"\\u0000": 1}',
    "duplicate key": b'{"a": 1, "b": 2, "a": 1}',
    "duplicate key below": b'[{"a": {"b": 1, "b": 1}}]',
    "depth": b"[" * 100_000 + b"]" * 100_000,
    "depth of objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "long text": b'{"a": "' + b"x" * 1_000_000 + b'"}',
    "long key": b'{"' + b"x" * 1_000_000 + b'": 1}',
    "not utf-8": b'{"a": "\xff"}',
    "utf-16": '{"a": 1}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf{}",
    "two documents": b"{} {}",
    "nothing": b"",
    "control character": b'{"a": "\x01"}',
    "comma": b'{"a": 1,}',
    "single quotes": b"{'a': 1}",
}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"],
        exclude_characters="\x00"), max_size=8), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid")
    id: str
    amount: float = 0.0
    whole: int = 0
    inner: list["Model"] = []


@pytest.mark.parametrize("raw", UNSOUND.values(), ids=UNSOUND.keys())
def test_what_two_readers_could_take_for_two_things_is_refused_in_few_words(raw: bytes) -> None:
    with pytest.raises(Problem) as caught:
        parse(raw)
    assert caught.value.status == 400
    said = json.dumps(caught.value.document("r"))
    assert len(said) < 400
    assert said.isascii()


@settings(max_examples=50, deadline=None)
@given(JSON, st.booleans())
def test_every_sound_document_is_read_as_it_is(document: object, ascii_only: bool) -> None:
    raw = json.dumps(document, ensure_ascii=ascii_only).encode()
    assert parse(raw) == document
    assert parse(raw, by_item=True) == document


def test_escapes_that_only_look_like_surrogates_or_nul_are_texts() -> None:
    raw = json.dumps({"a": "\\ud800", "b": "\\u0000", "c": "😀"}).encode()
    assert b"\\\\ud800" in raw
    assert parse(raw) == {"a": "\\ud800", "b": "\\u0000", "c": "😀"}


def test_depth_counts_levels_not_length() -> None:
    assert parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH) is not None
    with pytest.raises(Problem, match="deeper"):
        parse(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))
    assert len(parse(b"[" + b",".join([b"[]"] * 10_000) + b"]")) == 10_000


def test_by_item_one_poisonous_item_leaves_the_others() -> None:
    poison = ['{"a": NaN}', '{"a": 1e999}', '{"a": "\\ud800"}', '{"a": "\\u0000"}', '{"a": 1, "a": 1}']
    poison += ['{"a": 99999999999999999999}', '{"a": "' + "x" * (MAX_TEXT + 1) + '"}', '{"\\u0000": 1}']
    for bad in poison:
        read = parse(f'[{{"a": 1}}, {bad}, {{"a": 2}}]'.encode(), by_item=True)
        assert (read[0], read[2]) == ({"a": 1}, {"a": 2})
        held = [read[1]] if isinstance(read[1], Unsound) else list(read[1].values())
        assert any(isinstance(value, Unsound) for value in held), bad


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b'{"id": "a", "amount": "1"}', "/amount"),
        (b'{"id": "a", "amount": true}', "/amount"),
        (b'{"id": "a", "whole": 1.5}', "/whole"),
        (b'{"id": "a", "whole": true}', "/whole"),
        (b'{"id": 7}', "/id"),
        (b'{"id": "a", "unknown": 1}', "/unknown"),
        (b'{"id": "a", "inner": [{"id": "b"}, {"id": "c", "x/y~": 1}]}', "/inner/1/x~1y~0"),
        (b'{"amount": 1}', "/id"),
        (b"[]", ""),
    ],
)
def test_a_wrong_field_is_named_by_its_pointer_and_its_value_is_not_echoed(raw: bytes, path: str) -> None:
    with pytest.raises(Problem) as caught:
        checked(Model, raw)
    assert caught.value.status == 422
    assert [error["path"] for error in caught.value.errors] == [path]
