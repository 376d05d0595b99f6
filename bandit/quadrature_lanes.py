"""Eight float64 numbers that kernels calculate with as if they were one.

A compiler makes vector instructions of a loop over numbers only where it can show that arrays do not overlap, and not
for the last ones of a loop, nor for all of a short one. Most loops of the quadrature are short. With numbers taken
eight at a time every instruction is a vector instruction, of the width that the processor has. What is written for
`Lanes` works for one float64 too.
"""

import operator
from collections.abc import Callable
from typing import Any, Final

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core.typeconv import Conversion
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, lower_cast, models, register_model

WIDTH: Final = 8

_FLOAT, _INT, _BIT = ir.DoubleType(), ir.IntType(64), ir.IntType(1)
_FLOATS = ir.VectorType(_FLOAT, WIDTH)
_SQRT_HALF: Final = 0x3FE6A09E667F3BCD  # bits of √½
_TWO_52: Final = 0x4330000000000000  # bits of 2^52


class _LanesType(types.Type):  # type: ignore[misc]
    def can_convert_from(self, _typing: Any, other: Any) -> Any:
        return Conversion.safe if other == types.float64 else None


class _MaskType(types.Type):  # type: ignore[misc]
    pass


LANES: Final = _LanesType("lanes")
MASK: Final = _MaskType("mask")


@register_model(_LanesType)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _FLOATS)


@register_model(_MaskType)
class _MaskModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, ir.VectorType(_BIT, WIDTH))


def _splat(builder: Any, value: Any) -> Any:
    one = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
    return builder.shuffle_vector(one, ir.Constant(_FLOATS, ir.Undefined), zeros)


@lower_cast(types.float64, LANES)
def _spread(_context: Any, builder: Any, _from: Any, _to: Any, value: Any) -> Any:
    return _splat(builder, value)


def _operator(which: Any, result: Any, build: Callable[[Any, Any, Any], Any]) -> None:
    """Teach numba an operator between lanes, or lanes and a float64."""

    @infer_global(which)
    class _Between(AbstractTemplate):  # type: ignore[misc]
        def generic(self, args: Any, kws: Any) -> Any:
            if LANES in args and len(args) == 2 and not kws and all(a in (LANES, types.float64) for a in args):
                return signature(result, LANES, LANES)
            return None

    @lower_builtin(which, LANES, LANES)
    def _lower(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return build(builder, *args)


_operator(operator.add, LANES, lambda builder, a, b: builder.fadd(a, b))
_operator(operator.sub, LANES, lambda builder, a, b: builder.fsub(a, b))
_operator(operator.mul, LANES, lambda builder, a, b: builder.fmul(a, b))
_operator(operator.truediv, LANES, lambda builder, a, b: builder.fdiv(a, b))
_operator(operator.lt, MASK, lambda builder, a, b: builder.fcmp_ordered("<", a, b))
_operator(operator.gt, MASK, lambda builder, a, b: builder.fcmp_ordered(">", a, b))
_operator(operator.ge, MASK, lambda builder, a, b: builder.fcmp_ordered(">=", a, b))
_operator(operator.le, MASK, lambda builder, a, b: builder.fcmp_ordered("<=", a, b))


@infer_global(operator.and_)
class _Both(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        return signature(MASK, MASK, MASK) if args == (MASK, MASK) and not kws else None


@lower_builtin(operator.and_, MASK, MASK)
def _conjunction(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
    return builder.and_(*args)


@infer_global(operator.neg)
@infer_global(abs)
class _Alone(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        return signature(LANES, LANES) if args == (LANES,) and not kws else None


@lower_builtin(operator.neg, LANES)
def _negate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
    return builder.fneg(args[0])


@lower_builtin(abs, LANES)
def _absolute(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
    name = f"llvm.fabs.v{WIDTH}f64"
    kind = ir.FunctionType(_FLOATS, [_FLOATS])
    return builder.call(builder.module.globals.get(name) or ir.Function(builder.module, kind, name), args)


def _place(context: Any, builder: Any, kind: Any, array: Any, at: Any, at_kind: Any) -> Any:
    """Address of eight numbers of a contiguous array from an index on."""
    array = context.make_array(kind)(context, builder, array)
    if isinstance(at_kind, types.BaseTuple):
        row, column = (builder.extract_value(at, j) for j in range(2))
        at = builder.add(builder.mul(row, builder.extract_value(array.shape, 1)), column)
    return builder.bitcast(builder.gep(array.data, [at]), ir.PointerType(_FLOATS))


@intrinsic
def load(_typing: Any, array: Any, at: Any) -> Any:
    """Eight numbers of a contiguous float64 array from an index (or from a row and column) on."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, at = arguments
        return builder.load(_place(context, builder, signature.args[0], array, at, signature.args[1]), align=8)

    return LANES(array, at), build


@intrinsic
def store(_typing: Any, array: Any, at: Any, value: Any) -> Any:  # noqa: ARG001 (numba counts the arguments)
    """Write eight numbers into a contiguous float64 array from an index (or from a row and column) on."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, at, value = arguments
        builder.store(value, _place(context, builder, signature.args[0], array, at, signature.args[1]), align=8)
        return context.get_dummy_value()

    return types.void(array, at, LANES), build


@intrinsic
def where(_typing: Any, condition: Any, yes: Any, no: Any) -> Any:  # noqa: ARG001
    """`yes` where the condition holds, else `no`; lane by lane, without a branch."""
    result = LANES if condition == MASK else types.float64

    def build(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.select(*arguments)

    return result(condition, result, result), build


@intrinsic
def times_power(_typing: Any, x: Any, shifted: Any) -> Any:  # noqa: ARG001
    """x · 2^k, where k stands in the lowest bits of `shifted`; see `exponential` in `bandit.quadrature_math`."""

    def build(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        x, shifted = arguments
        whole = _bits_of(x.type)
        power = builder.shl(builder.bitcast(shifted, whole), _whole(whole, 52))
        return builder.bitcast(builder.add(builder.bitcast(x, whole), power), x.type)

    return x(x, x), build


@intrinsic
def split(_typing: Any, x: Any) -> Any:
    """A positive normal number as m · 2^e with √½ ≤ m < √2: the pair (m, e)."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x = arguments[0]
        whole = _bits_of(x.type)

        def bits(value: int) -> Any:
            return _whole(whole, value)

        shifted = builder.add(builder.bitcast(x, whole), bits((1 << 62) - _SQRT_HALF))
        power = builder.or_(builder.lshr(shifted, bits(52)), bits(_TWO_52))
        mantissa = builder.add(builder.and_(shifted, bits((1 << 52) - 1)), bits(_SQRT_HALF))
        offset = ir.Constant(_FLOAT, 2.0**52 + 1024.0)
        offset = _splat(builder, offset) if x.type == _FLOATS else offset
        exponent = builder.fsub(builder.bitcast(power, x.type), offset)
        return context.make_tuple(builder, signature.return_type, (builder.bitcast(mantissa, x.type), exponent))

    return types.UniTuple(x, 2)(x), build


def _bits_of(kind: Any) -> Any:
    return _INT if kind == _FLOAT else ir.VectorType(_INT, WIDTH)


def _whole(kind: Any, value: int) -> Any:
    return ir.Constant(kind, value if kind == _INT else [value] * WIDTH)


def _folded(builder: Any, x: Any, join: Callable[[Any, Any], Any]) -> Any:
    """One number of eight, pair by pair: always in the same order."""
    count = WIDTH
    while count > 1:
        count //= 2
        lanes = [ir.Constant(ir.VectorType(ir.IntType(32), count), list(range(s, s + count))) for s in (0, count)]
        low, high = (builder.shuffle_vector(x, ir.Constant(x.type, ir.Undefined), half) for half in lanes)
        x = join(low, high)
    return builder.extract_element(x, ir.Constant(ir.IntType(32), 0))


@intrinsic
def total(_typing: Any, x: Any) -> Any:
    """The sum of eight numbers."""

    def build(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return _folded(builder, arguments[0], builder.fadd)

    return types.float64(x), build


@intrinsic
def highest(_typing: Any, x: Any) -> Any:
    """The largest of eight numbers."""

    def build(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return _folded(builder, arguments[0], lambda a, b: builder.select(builder.fcmp_ordered(">", a, b), a, b))

    return types.float64(x), build


@intrinsic
def spread(_typing: Any, x: Any) -> Any:  # noqa: ARG001
    """Eight times the same number."""

    def build(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return _splat(builder, arguments[0])

    return LANES(types.float64), build
