"""The inner steps of the scorer, spelled out for the processor, many customers at once.

How many of eight thresholds lie below a value; which leaves some nodes leave possible; the value of the lowest of them.
A table of 32 values fits into the processor's registers, and permuting them there is what makes the scorer fast. No
compiler finds that by itself, nor that a customer's mask can stay in its register from the first node to the last. Each
processor gets the widest form it has; all forms give the same bits.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

_WIDTH, _PARTS = 16, 2  # customers of one register, and registers at once
LANES: Final = _WIDTH * _PARTS
"""Customers at once: loops over customers run in multiples of this."""

_DE_BRUIJN: Final = 0x077CB531  # every bit, moved to the top by this product, leaves its own pattern in the upper five
_INT = ir.IntType(32)
_ROW = ir.VectorType(_INT, _WIDTH)
_HALF = ir.VectorType(_INT, 8)
_BYTES = ir.VectorType(ir.IntType(8), _WIDTH)


class Coded(NamedTuple):
    """Nodes and whom they ask: `nodes` is a `grid_plan.Nodes`, `codes` (rows, size) uint8 are the customers'."""

    nodes: Any
    codes: Any


class Leaves(NamedTuple):
    """Values of leaves and where they go.

    `values` int32, 32 at a time in the order of `by_pattern`; `offers` int64, rows of `sums`; `sums` (k, size) int32,
    added to modulo 2^32.
    """

    values: Any
    offers: Any
    sums: Any


def by_pattern(values: NDArray[np.int32]) -> NDArray[np.int32]:
    """Place the values of leaves 0, 1, … (at most 32) where `add_values` finds them, in a table of 32."""
    table = np.zeros(32, np.int32)
    for bit, value in enumerate(values):
        table[((1 << bit) * _DE_BRUIJN & 0xFFFFFFFF) >> 27] = value
    return table


@intrinsic
def count_below(_typing: Any, thresholds: Any, at: Any, value: Any) -> Any:
    """How many of the eight float64 `thresholds` from index `at` on are less than `value`, an int64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        table, at, value = arguments
        eight = ir.VectorType(ir.DoubleType(), 8)
        address = context.make_array(signature.args[0])(context, builder, table).data
        less = builder.fcmp_ordered(
            "<", builder.load(_at(builder, address, at, eight), align=8), _splat(builder, value, eight)
        )
        return builder.zext(builder.ctpop(builder.bitcast(less, ir.IntType(8))), ir.IntType(64))

    return types.int64(thresholds, at, value), generate


def _splat(builder: Any, value: Any, row: Any) -> Any:
    one = builder.insert_element(ir.Constant(row, ir.Undefined), value, ir.Constant(_INT, 0))
    lanes = ir.Constant(ir.VectorType(_INT, row.count), [0] * row.count)
    return builder.shuffle_vector(one, ir.Constant(row, ir.Undefined), lanes)


def _at(builder: Any, address: Any, offset: Any, row: Any) -> Any:
    return builder.bitcast(builder.gep(address, [offset]), ir.PointerType(row))


def _call(builder: Any, name: str, row: Any, arguments: list[Any]) -> Any:
    kind = ir.FunctionType(row, [row] * len(arguments))
    function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    return builder.call(function, arguments)


def _pieces(builder: Any, table: Any, row: Any) -> list[Any]:
    """The table of 32 in registers."""
    starts = range(0, 32, row.count)
    return [builder.load(_at(builder, table, ir.Constant(ir.IntType(64), start), row), align=4) for start in starts]


def _wide(builder: Any, table: Any) -> Any:
    """AVX-512: one permutation of two registers."""
    low, high = _pieces(builder, table, _ROW)
    return lambda index: _call(builder, "llvm.x86.avx512.vpermi2var.d.512", _ROW, [low, index, high])


def _halves(builder: Any, table: Any) -> Any:
    """AVX2: four permutations of eight, and the upper two bits of the index choose among them."""
    pieces = _pieces(builder, table, _HALF)
    undefined, zero = ir.Constant(_ROW, ir.Undefined), ir.Constant(_HALF, [0] * 8)

    def half(index: Any, first: int) -> Any:
        lanes = ir.Constant(_HALF, list(range(first, first + 8)))
        mine = builder.shuffle_vector(index, undefined, lanes)
        four = [_call(builder, "llvm.x86.avx2.permd", _HALF, [piece, mine]) for piece in pieces]
        eights, sixteens = (
            builder.icmp_signed("<", builder.shl(mine, ir.Constant(_HALF, [move] * 8)), zero) for move in (28, 27)
        )
        low, high = builder.select(eights, four[1], four[0]), builder.select(eights, four[3], four[2])
        return builder.select(sixteens, high, low)

    every = ir.Constant(_ROW, list(range(_WIDTH)))
    return lambda index: builder.shuffle_vector(half(index, 0), half(index, 8), every)


def _one_by_one(builder: Any, table: Any) -> Any:
    """Any processor."""

    def found(index: Any) -> Any:
        out = ir.Constant(_ROW, ir.Undefined)
        for lane in range(_WIDTH):
            here = ir.Constant(_INT, lane)
            value = builder.load(builder.gep(table, [builder.extract_element(index, here)]), align=4)
            out = builder.insert_element(out, value, here)
        return out

    return found


def _form(features: str) -> Any:
    have = set(features.split(","))
    if "+avx512f" in have:
        return _wide
    return _halves if "+avx2" in have else _one_by_one


def _registers(builder: Any, start: Any) -> list[Any]:
    """Addresses of `LANES` numbers of 32 bits."""
    return [_at(builder, start, ir.Constant(ir.IntType(64), part * _WIDTH), _ROW) for part in range(_PARTS)]


def _arrays(context: Any, builder: Any, kinds: Any, arrays: Any) -> list[Any]:
    """The arrays of a tuple, opened."""
    return [
        context.make_array(kind)(context, builder, builder.extract_value(arrays, j)) for j, kind in enumerate(kinds)
    ]


def _asked(context: Any, builder: Any, kind: Any, coded: Any, asked: Any, size: Any) -> Any:
    """A function of the masks of `LANES` customers from i on: what some nodes leave of them."""
    nodes, codes = (builder.extract_value(coded, j) for j in range(2))
    codes = context.make_array(kind[1])(context, builder, codes).data
    rows, firsts, widths, keeps = (array.data for array in _arrays(context, builder, kind[0], nodes))
    base, *ends = (builder.extract_value(asked, j) for j in range(3))
    every = ir.Constant(_ROW, [0xFFFFFFFF] * _WIDTH)
    left = [cgutils.alloca_once(builder, _ROW) for _ in range(_PARTS)]  # become registers

    def narrowed(masks: list[Any], i: Any) -> list[Any]:
        for mask, place in zip(masks, left, strict=True):
            builder.store(mask, place)
        with cgutils.for_range_slice(builder, *ends, ends[0].type(1)) as (node, _):
            row, first, width, keep = (builder.load(builder.gep(a, [node])) for a in (rows, firsts, widths, keeps))
            first, width, keep = (
                _splat(builder, first, _BYTES),
                _splat(builder, width, _BYTES),
                _splat(builder, keep, _ROW),
            )
            start = builder.gep(codes, [builder.add(builder.mul(builder.add(base, row), size), i)])
            for part, place in enumerate(left):
                code = builder.load(_at(builder, start, ir.Constant(ir.IntType(64), part * _WIDTH), _BYTES), align=1)
                yes = builder.icmp_unsigned("<=", builder.sub(code, first), width)
                builder.store(builder.and_(builder.load(place), builder.select(yes, every, keep)), place)
        return [builder.load(place) for place in left]

    return narrowed


def _pattern(builder: Any, masks: Any) -> Any:
    """Five bits that tell the lowest bit of each mask."""
    lowest = builder.and_(masks, builder.neg(masks))
    product = builder.mul(lowest, ir.Constant(_ROW, [_DE_BRUIJN] * _WIDTH))
    return builder.lshr(product, ir.Constant(_ROW, [27] * _WIDTH))


def _narrowed(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    masks, coded, asked = arguments
    masks = context.make_array(signature.args[0])(context, builder, masks)
    size = builder.extract_value(masks.shape, 0)
    narrowed = _asked(context, builder, signature.args[1], coded, asked, size)
    every = [ir.Constant(_ROW, [0xFFFFFFFF] * _WIDTH)] * _PARTS
    with cgutils.for_range_slice(builder, size.type(0), size, size.type(LANES)) as (i, _):
        for mask, place in zip(narrowed(every, i), _registers(builder, builder.gep(masks.data, [i])), strict=True):
            builder.store(mask, place, align=4)
    return context.get_dummy_value()


@intrinsic
def narrow(_typing: Any, masks: Any, coded: Any, asked: Any) -> Any:
    """Write the leaves that some nodes leave possible, one bit each.

    Args:
        masks: (size,) uint32, written; size is a multiple of `LANES`.
        coded: `Coded`.
        asked: (base, start, end), three int64: the nodes from start up to end ask row base + row of the codes.

    All arrays are contiguous.
    """
    return types.void(masks, coded, asked), _narrowed


def _added(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    masks, coded, asked, allowed, leaves, where = arguments
    masks = context.make_array(signature.args[0])(context, builder, masks)
    values, offers, sums = _arrays(context, builder, signature.args[4], leaves)
    start, first, last = (builder.extract_value(where, j) for j in range(3))
    size = builder.extract_value(masks.shape, 0)
    narrowed = _asked(context, builder, signature.args[1], coded, asked, size)
    permuted = _form(context.codegen().magic_tuple()[2])(builder, builder.gep(values.data, [start]))
    stays = _splat(builder, allowed, _ROW)
    with cgutils.for_range_slice(builder, size.type(0), size, size.type(LANES)) as (i, _):
        left = [
            builder.and_(builder.load(p, align=4), stays) for p in _registers(builder, builder.gep(masks.data, [i]))
        ]
        found = [permuted(_pattern(builder, mask)) for mask in narrowed(left, i)]
        with cgutils.for_range_slice(builder, first, last, size.type(1)) as (at, _):
            row = builder.mul(builder.load(builder.gep(offers.data, [at])), size)
            for value, place in zip(
                found, _registers(builder, builder.gep(sums.data, [builder.add(row, i)])), strict=True
            ):
                builder.store(builder.add(builder.load(place, align=4), value), place, align=4)
    return context.get_dummy_value()


@intrinsic
def add_values(_typing: Any, masks: Any, coded: Any, asked: Any, allowed: Any, leaves: Any, where: Any) -> Any:
    """Ask some more nodes, look up the value of the lowest bit that is left, and add it to the sums of some offers.

    Args:
        masks: (size,) uint32, size a multiple of `LANES`; they stay as they are.
        coded: `Coded`.
        asked: (base, start, end), three int64: the nodes from start up to end ask row base + row of the codes.
        allowed: uint32, intersected with each mask.
        leaves: `Leaves`.
        where: (start, first, last), three int64: the values from start on go to the offers from first up to last.

    All arrays are contiguous.
    """
    return types.void(masks, coded, asked, allowed, leaves, where), _added
