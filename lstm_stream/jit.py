"""The one way this project compiles a kernel: nogil, cached on disk where that is possible, IEEE-exact.

Rule 1: a kernel is a module-level function; a closure over another kernel never hits the disk cache.
Rule 2: no fastmath: NaN must stay NaN, and a sum must not depend on what the compiler fuses where. `simd.fma` fuses.
Rule 3: Numba's cache does not notice a change in another file: touch the callers of a helper that you change, or make
them a `kernel_of` its file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast

import numba
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., object])

# The zero-division check of the default error model blocks vectorisation (FACTS-kernels).
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}


def kernel(function: F) -> F:
    """Compile `function` on first call; the machine code is cached on disk if a writable place exists.

    Numba raises RuntimeError at decoration where no cache directory is writable (a read-only image without
    NUMBA_CACHE_DIR); the kernel then compiles anew in every process instead of failing.
    """
    try:
        return cast(F, numba.njit(cache=True, **_OPTIONS)(function))
    except RuntimeError:
        return cast(F, numba.njit(**_OPTIONS)(function))


def kernel_of(*modules: ModuleType) -> Callable[[F], F]:
    """`kernel` for a function that is made of other files' parts: a change in one of them makes it compile anew.

    Numba asks for the function's own file only, which leads to machine code of yesterday. Where a Numba keeps its
    stamp in another place, rule 3 holds as ever.
    """

    def compiled(function: F) -> F:
        made = kernel(function)
        cached: Any = getattr(getattr(made, "_cache", None), "_cache_file", None)
        if hasattr(cached, "_source_stamp"):
            stats = [Path(str(module.__file__)).stat() for module in modules]
            cached._source_stamp = cached._source_stamp, *((s.st_mtime, s.st_size) for s in stats)
        return made

    return compiled


def inline(function: F) -> F:
    """Compile a small helper that only kernels call: it becomes part of each, and is cached with them."""
    return cast(F, numba.njit(forceinline=True, **_OPTIONS)(function))


def part(function: F) -> F:
    """Compile a large helper that only kernels call: it stays a function, as compile time grows with nesting."""
    return cast(F, numba.njit(**_OPTIONS)(function))


def uniform(array: NDArray[Any]) -> NDArray[Any]:
    """An array of the one kind for which kernels are compiled: contiguous and writable."""
    return array if array.flags.c_contiguous and array.flags.writeable else array.copy()
