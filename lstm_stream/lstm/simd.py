"""Vectors of float32 as a Numba type, and the one matrix product that every kernel is made of.

What is here is spelled out for LLVM, so that speed does not hang on an optimiser's mood and no sum depends on it: the
only additions that are fused with a product are those written as `fma`, in the order in which they are written.

The vector is as long as the processor's registers: 16 with AVX-512, 8 with AVX, else 4; without FMA a product is
rounded before it is added. Nothing but `WIDTH` and `ROWS` differs, so that the portable path is the same code.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, ClassVar

from llvmlite import binding, ir
from numba import extending
from numba.core import cgutils, config, errors, types
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature

from lstm_stream.lstm.params import LANES

intrinsic: Any = extending.intrinsic  # untyped, as all of Numba


def _features() -> set[str]:
    """What the processor that Numba compiles for can do: the host, or NUMBA_CPU_FEATURES."""
    given: str | None = config.CPU_FEATURES  # type: ignore[attr-defined]
    if given is None:
        try:
            return {name for name, there in binding.get_host_cpu_features().items() if there}
        except RuntimeError:  # LLVM cannot tell on this platform
            return set()
    return {item[1:] for item in given.split(",") if item.startswith("+")}


def _width(features: set[str]) -> int:
    return 16 if "avx512f" in features else 8 if "avx" in features else 4


WIDTH = _width(_features())
ROWS = 5 if WIDTH == 16 else 2  # of a tile: rows x 4 gates sums and the operands beside them fit the registers
PIECES = LANES // WIDTH  # vectors in a block


class Vector(types.Type):
    """WIDTH float32 values."""

    def __init__(self) -> None:
        super().__init__(name=f"float32x{WIDTH}")


vector = Vector()
_FLOATS = ir.VectorType(ir.FloatType(), WIDTH)
_INTS = ir.VectorType(ir.IntType(32), WIDTH)


@extending.register_model(Vector)
class _VectorModel(extending.models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _FLOATS)


# --- arithmetic


def _operator(op: Callable[..., Any], instruction: str) -> None:
    """`a op b` on vectors is one instruction."""

    @infer_global(op)
    class _Template(ConcreteTemplate):
        cases: ClassVar[list[Any]] = [signature(vector, vector, vector)]

    @extending.lower_builtin(op, vector, vector)
    def _lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return getattr(builder, instruction)(*args)


for _op, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _operator(_op, _instruction)


def _splat(builder: Any, value: Any) -> Any:
    one = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), value, ir.IntType(32)(0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
    return builder.shuffle_vector(one, ir.Constant(_FLOATS, ir.Undefined), mask)


def _fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """Fused where the processor fuses; a library call nowhere."""
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(a.type, [a.type] * 3), f"llvm.fmuladd.{_suffix(a.type)}"
    )
    return builder.call(function, [a, b, c])


def _suffix(kind: Any) -> str:
    return f"v{WIDTH}f32" if isinstance(kind, ir.VectorType) else "f32"


@intrinsic
def splat(typingctx: Any, value: Any) -> Any:
    """A scalar in every lane."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _splat(builder, context.cast(builder, args[0], sig.args[0], types.float32))

    return vector(value), codegen


@intrinsic
def fma(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """The sum a * b + c, of vectors or of float32."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _fma(builder, *args)

    return a(a, b, c), codegen


@intrinsic
def sqrt(typingctx: Any, a: Any) -> Any:
    """The square root of each lane."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(_FLOATS, [_FLOATS]), f"llvm.sqrt.{_suffix(_FLOATS)}"
        )
        return builder.call(function, args)

    return vector(a), codegen


@intrinsic
def bounded(typingctx: Any, a: Any, limit: Any) -> Any:
    """Each lane clipped to -limit..limit; NaN stays NaN."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value, high = args
        low = builder.fneg(high)
        value = builder.select(builder.fcmp_ordered(">", value, high), high, value)
        return builder.select(builder.fcmp_ordered("<", value, low), low, value)

    return vector(a, limit), codegen


@intrinsic
def power_of_two(typingctx: Any, a: Any) -> Any:
    """2^n of a number that has n + 127 in the lowest bits of its mantissa: they become the exponent."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        shift = ir.Constant(_INTS, [23] * WIDTH)
        return builder.bitcast(builder.shl(builder.bitcast(args[0], _INTS), shift), _FLOATS)

    return vector(a), codegen


@intrinsic
def total(typingctx: Any, a: Any) -> Any:
    """The sum of the lanes, by halves."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        (value,), width = args, WIDTH
        while width > 1:
            width //= 2
            low, high = (
                builder.shuffle_vector(value, value, ir.Constant(ir.VectorType(ir.IntType(32), width), list(lanes)))
                for lanes in (range(width), range(width, 2 * width))
            )
            value = builder.fadd(low, high)
        return builder.extract_element(value, ir.IntType(32)(0))

    return types.float32(a), codegen


# --- memory


def _address(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """The address of array.flat[index], for a contiguous array of float32."""
    if not (isinstance(kind, types.Array) and kind.dtype == types.float32 and kind.layout == "C"):
        raise errors.TypingError(f"a contiguous array of float32 is needed, not {kind}")
    data = context.make_array(kind)(context, builder, array).data
    return builder.gep(data, [index])


def _load(builder: Any, address: Any) -> Any:
    return builder.load(builder.bitcast(address, _FLOATS.as_pointer()), align=4)


def _store(builder: Any, value: Any, address: Any) -> None:
    builder.store(value, builder.bitcast(address, _FLOATS.as_pointer()), align=4)


@intrinsic
def load(typingctx: Any, array: Any, index: Any) -> Any:
    """WIDTH values from array.flat[index] on."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        index = context.cast(builder, args[1], sig.args[1], types.intp)
        return _load(builder, _address(context, builder, sig.args[0], args[0], index))

    return vector(array, index), codegen


@intrinsic
def peek(typingctx: Any, array: Any, index: Any) -> Any:
    """The scalar array.flat[index], without what NumPy's indexing of a view costs."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        index = context.cast(builder, args[1], sig.args[1], types.intp)
        return builder.load(_address(context, builder, sig.args[0], args[0], index))

    return types.float32(array, index), codegen


@intrinsic
def store(typingctx: Any, value: Any, array: Any, index: Any) -> Any:
    """Write WIDTH values to array.flat[index] on."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        index = context.cast(builder, args[2], sig.args[2], types.intp)
        _store(builder, args[0], _address(context, builder, sig.args[1], args[1], index))
        return context.get_dummy_value()

    return types.void(value, array, index), codegen


@intrinsic
def prefetch(typingctx: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of array.flat[index]; a hint."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        index = context.cast(builder, args[1], sig.args[1], types.intp)
        address = builder.bitcast(_address(context, builder, sig.args[0], args[0], index), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [address.type, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(function, [address, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, index), codegen


# --- the matrix product


def tile(rows: int, vectors: int = 1, *, own: bool = False, add: bool = False) -> Any:
    """Make `product(n, w, x, out)`: a tile of rows x vectors x 4 gates of a matrix product, held in registers.

        out[r, v, gate] (+)= sum over k < n, in order, of  x[r, k] * w[k, v, gate]        own:  x[gate, r, k]

    each w and out a vector. The operands are flat arrays with where to begin and their strides, counted in floats
    (gates lie `LANES` apart): w = (array, at, k, v); x = (array, at, r, k, gate); out = (array, at, r, v).
    With `add` the products are added to what is in out. The sum of one element does not depend on the tile's shape.
    """
    places = [(r, v, gate) for r in range(rows) for v in range(vectors) for gate in range(4)]

    @intrinsic
    def product(typingctx: Any, n: Any, w: Any, x: Any, out: Any) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            word = context.get_value_type(types.intp)

            def operand(number: int) -> tuple[Any, list[Any]]:
                """The base address of an operand, and its strides."""
                kinds = sig.args[number].types
                parts = cgutils.unpack_tuple(builder, args[number])
                at, *strides = (
                    context.cast(builder, part, kind, types.intp)
                    for part, kind in zip(parts[1:], kinds[1:], strict=True)
                )
                return _address(context, builder, kinds[0], parts[0], at), strides

            def moved(base: Any, *steps: tuple[Any, Any]) -> Any:
                """The address base + the sum of index * stride."""
                offset = word(0)
                for index, stride in steps:
                    index = word(index) if isinstance(index, int) else index
                    offset = builder.add(offset, builder.mul(index, stride))
                return builder.gep(base, [offset])

            w_base, (w_k, w_v) = operand(1)
            x_base, (x_r, x_k, x_gate) = operand(2)
            out_base, (out_r, out_v) = operand(3)
            lanes = word(LANES)
            homes = [moved(out_base, (r, out_r), (v, out_v), (gate, lanes)) for r, v, gate in places]
            sums = {place: cgutils.alloca_once(builder, _FLOATS) for place in places}
            for accumulator, home in zip(sums.values(), homes, strict=True):
                builder.store(_load(builder, home) if add else ir.Constant(_FLOATS, [0.0] * WIDTH), accumulator)
            count = context.cast(builder, args[0], sig.args[0], types.intp)
            with cgutils.for_range(builder, count, intp=word) as loop:
                k = loop.index
                values = {
                    (r, gate): _splat(builder, builder.load(moved(x_base, (r, x_r), (k, x_k), (gate, x_gate))))
                    for r in range(rows)
                    for gate in (range(4) if own else range(1))
                }
                for v, gate in ((v, gate) for v in range(vectors) for gate in range(4)):
                    weight = _load(builder, moved(w_base, (k, w_k), (v, w_v), (gate, lanes)))
                    for r in range(rows):
                        accumulator = sums[r, v, gate]
                        value = values[r, gate if own else 0]
                        builder.store(_fma(builder, value, weight, builder.load(accumulator)), accumulator)
            for accumulator, home in zip(sums.values(), homes, strict=True):
                _store(builder, builder.load(accumulator), home)
            return context.get_dummy_value()

        return types.void(n, w, x, out), codegen

    return product
