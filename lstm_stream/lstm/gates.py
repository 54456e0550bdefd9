"""What the cells do with the sums of their gates, forward and backward, on vectors of units; the same as `cell.py`.

Each cell has one section of two functions, and one line in `forward` and `backward` at the end, which choose by code.

    forward(s, c, a, tau) -> (i, f, g, zo), c'             zo: what the output gate is the logistic function of
    show(zo, c') -> o, h'                                  the same for all cells
    backward(gates, c before, c', dh, dc, s, a, tau) -> ds, da, dc before

s, a, gates and their derivatives are tuples of four vectors, in the order i f g o; all others are vectors. Forward and
show are two loops over the rows, because a processor sees only some 250 instructions ahead: in one loop each vector
waits for its own two divisions in turn (46 ns instead of 29 for 16 units).
"""

from __future__ import annotations

from typing import Any, TypeAlias

from lstm_stream.jit import inline
from lstm_stream.lstm.params import CELLS
from lstm_stream.lstm.simd import bounded, fma, power_of_two, splat

Vector: TypeAlias = Any  # Numba's type simd.Vector
Four: TypeAlias = tuple[Vector, Vector, Vector, Vector]
Forward: TypeAlias = tuple[Four, Vector]
Backward: TypeAlias = tuple[Four, Four, Vector]

PEEPHOLE, COUPLED, LTMS = CELLS["peephole"].code, CELLS["coupled"].code, CELLS["ltms"].code

MINUS_LOG2E = -1.4426950408889634
LARGEST = 35.0  # of a power of two: 2^-35 is nothing beside 1, and three factors of 2^35 fit float32
ROUND = 1.5 * 2**23 + 127  # adding it leaves n + 127 in the lowest bits, see `power_of_two`
# 2^f for |f| <= 1/2, by Remez' algorithm for the relative error, which is 1.5e-7 in float32
C5, C4, C3, C2, C1 = 0.0013276472, 0.009675541, 0.05550713, 0.2402212, 0.69314694


@inline
def exp_minus(z: Vector) -> Vector:
    """e^-z for |z| up to 24, beyond which it stays what it is there; NaN stays NaN."""
    t = bounded(z * splat(MINUS_LOG2E), splat(LARGEST))
    n = t + splat(ROUND)
    f = t - (n - splat(ROUND))
    square = f * f  # Estrin's order: half of Horner's latency, which is what the step waits for
    p = fma(fma(splat(C5), f, splat(C4)), square, fma(splat(C3), f, splat(C2)))
    return fma(p, square, fma(splat(C1), f, splat(1.0))) * power_of_two(n)


@inline
def sigmoid_tanh(a: Vector, g: Vector) -> tuple[Vector, Vector]:
    """sigmoid(a) and tanh(g), with one division for both."""
    one = splat(1.0)
    e = exp_minus(g + g)
    under_a, under_g = one + exp_minus(a), one + e
    r = one / (under_a * under_g)
    return under_g * r, (one - e) * under_a * r


@inline
def sigmoid_sigmoid_tanh(a: Vector, b: Vector, g: Vector) -> tuple[Vector, Vector, Vector]:
    """sigmoid(a), sigmoid(b) and tanh(g), with one division for the three."""
    one = splat(1.0)
    e = exp_minus(g + g)
    under_a, under_b, under_g = one + exp_minus(a), one + exp_minus(b), one + e
    ab = under_a * under_b
    r = one / (ab * under_g)
    return under_b * under_g * r, under_a * under_g * r, (one - e) * ab * r


@inline
def tanh(z: Vector) -> Vector:
    e = exp_minus(z + z)
    return (splat(1.0) - e) / (splat(1.0) + e)


@inline
def slope(s: Vector) -> Vector:
    """The derivative of the logistic function where its value is s."""
    return s * (splat(1.0) - s)


@inline
def tanh_slope(g: Vector) -> Vector:
    """The derivative of tanh where its value is g."""
    return splat(1.0) - g * g


# --- standard, and elysium, whose weights differ but not its gates


@inline
def standard(s: Four, c: Vector) -> Forward:
    i, f, g = sigmoid_sigmoid_tanh(s[0], s[1], s[2])
    return (i, f, g, s[3]), fma(f, c, i * g)


@inline
def standard_backward(u: Four, before: Vector, c: Vector, dh: Vector, dc: Vector) -> Backward:
    i, f, g, o = u
    tanh_c, zero = tanh(c), splat(0.0)
    dc = fma(dh * o, tanh_slope(tanh_c), dc)
    ds = (dc * g * slope(i), dc * before * slope(f), dc * i * tanh_slope(g), dh * tanh_c * slope(o))
    return ds, (zero, zero, zero, zero), dc * f


# --- peephole


@inline
def peephole(s: Four, c: Vector, a: Four) -> Forward:
    i, f, g = sigmoid_sigmoid_tanh(fma(a[0], c, s[0]), fma(a[1], c, s[1]), s[2])
    c = fma(f, c, i * g)
    return (i, f, g, fma(a[3], c, s[3])), c


@inline
def peephole_backward(u: Four, before: Vector, c: Vector, dh: Vector, dc: Vector, a: Four) -> Backward:
    i, f, g, o = u
    tanh_c = tanh(c)
    dso = dh * tanh_c * slope(o)
    dc = fma(dh * o, tanh_slope(tanh_c), fma(dso, a[3], dc))
    dsi, dsf = dc * g * slope(i), dc * before * slope(f)
    da = (dsi * before, dsf * before, splat(0.0), dso * c)
    return (dsi, dsf, dc * i * tanh_slope(g), dso), da, fma(dsi, a[0], fma(dsf, a[1], dc * f))


# --- coupled


@inline
def coupled(s: Four, c: Vector) -> Forward:
    f, g = sigmoid_tanh(s[1], s[2])
    i = splat(1.0) - f
    return (i, f, g, s[3]), fma(f, c, i * g)


@inline
def coupled_backward(u: Four, before: Vector, c: Vector, dh: Vector, dc: Vector) -> Backward:
    i, f, g, o = u
    tanh_c, zero = tanh(c), splat(0.0)
    dc = fma(dh * o, tanh_slope(tanh_c), dc)
    ds = (zero, dc * (before - g) * slope(f), dc * i * tanh_slope(g), dh * tanh_c * slope(o))
    return ds, (zero, zero, zero, zero), dc * f


# --- ltms


@inline
def modulated(s: Four, a: Four, tau: Vector) -> Four:
    one = splat(1.0)
    return (
        s[0] * fma(tau, a[0], one),
        s[1] * fma(tau, a[1], one),
        s[2] * fma(tau, a[2], one),
        s[3] * fma(tau, a[3], one),
    )


@inline
def ltms(s: Four, c: Vector, a: Four, tau: Vector) -> Forward:
    return standard(modulated(s, a, tau), c)


@inline
def ltms_backward(
    u: Four, before: Vector, c: Vector, dh: Vector, dc: Vector, s: Four, a: Four, tau: Vector
) -> Backward:
    dz, _, dc = standard_backward(u, before, c, dh, dc)
    da = (dz[0] * s[0] * tau, dz[1] * s[1] * tau, dz[2] * s[2] * tau, dz[3] * s[3] * tau)
    return modulated(dz, a, tau), da, dc


# --- the choice


@inline
def forward(cell: int, s: Four, c: Vector, a: Four, tau: Vector) -> Forward:
    """The gates and the new cell state of one vector of units."""
    if cell == PEEPHOLE:
        return peephole(s, c, a)
    if cell == COUPLED:
        return coupled(s, c)
    if cell == LTMS:
        return ltms(s, c, a, tau)
    return standard(s, c)


@inline
def show(zo: Vector, c: Vector) -> tuple[Vector, Vector]:
    """The output gate and the hidden state of one vector of units."""
    o, tanh_c = sigmoid_tanh(zo, c)
    return o, o * tanh_c


@inline
def backward(
    cell: int, u: Four, before: Vector, c: Vector, dh: Vector, dc: Vector, s: Four, a: Four, tau: Vector
) -> Backward:
    """The derivatives of one vector of units."""
    if cell == PEEPHOLE:
        return peephole_backward(u, before, c, dh, dc, a)
    if cell == COUPLED:
        return coupled_backward(u, before, c, dh, dc)
    if cell == LTMS:
        return ltms_backward(u, before, c, dh, dc, s, a, tau)
    return standard_backward(u, before, c, dh, dc)
