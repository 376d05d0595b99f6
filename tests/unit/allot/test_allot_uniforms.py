"""The numbers that decisions rest on: frozen for ever, the same in arrays and in kernels, whatever stands beside."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from allot.uniform_kernels import uniform
from allot.uniforms import keys, stream, text_keys, uniforms

FROZEN = {
    "": 16294208416658607535,
    "a": 11382875449195304299,
    "héé": 13160979190281091188,
    "12345678": 16352242858117692410,
    "123456789": 5487035671896805093,
}


def test_the_keys_of_texts_are_what_they_have_always_been():
    assert keys(FROZEN).tolist() == list(FROZEN.values())
    assert keys([]).tolist() == []


def test_the_uniforms_are_what_they_have_always_been():
    found = uniforms(stream(7, "spring"), np.array([1, 2, 2**63], np.uint64), counter=3)
    assert found.tolist() == [0.37090322147681815, 0.46323400819874266, 0.2492086134212516]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=40)))
def test_a_text_has_the_same_key_whatever_stands_beside_it(texts):
    together = keys(texts)
    assert together.tolist() == [keys([text])[0] for text in texts]
    assert keys(texts[::-1]).tolist() == together[::-1].tolist()


def test_a_slice_of_texts_has_the_keys_of_its_own_texts():
    """As Arrow lays out a sliced column: offsets that do not begin at 0, bytes of other texts around them."""
    data = np.frombuffer(b"beforeonetwothreeafter", np.uint8)
    found = text_keys(np.array([6, 9, 17]), data)
    assert found.tolist() == keys(["one", "twothree"]).tolist()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**63))
def test_a_kernel_draws_the_number_that_the_array_has(of, key, counter):
    in_array = uniforms(np.uint64(of), np.array([key], np.uint64), counter)[0]
    assert _in_kernel(np.uint64(of), np.uint64(key), np.uint64(counter)) == in_array
    assert 0.0 < in_array < 1.0


@njit
def _in_kernel(of, key, counter):
    return uniform(of, key, counter)
