"""The few sensors with the highest scores, chosen so that they do not change places at every look.

A plain top-K churns: a sensor that is shown at every fourth look has curves of holes. Here whoever is in stays for a
while; only an open alarm gets in at once, in the place of a sensor without one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Sticky(Generic[K]):
    """At most `size` members; each stays for `stay` s after it was last among the highest."""

    def __init__(self, size: int, stay: float) -> None:
        self._size = size
        self._stay = stay
        self._members: dict[K, float] = {}  # when it was last among the highest

    def limit(self, size: int, stay: float) -> None:
        """From the next choice on; where there are too many, who was last among the highest longest ago goes."""
        self._size, self._stay = size, stay
        longest = sorted(self._members, key=lambda key: self._members[key])
        for key in longest[: max(0, len(longest) - size)]:
            del self._members[key]

    def choose(
        self, ranked: Sequence[K], is_there: Callable[[K], bool], is_alarmed: Callable[[K], bool], now: float
    ) -> list[K]:
        """The members from `now` (s) on. `ranked` are the `size` highest of those that are there, highest first."""
        members = {key: at for key, at in self._members.items() if is_there(key)}
        members.update({key: now for key in ranked if key in members})
        others = sorted(members.keys() - set(ranked), key=lambda key: members[key])
        leaving = [key for key in others if now - members[key] >= self._stay]
        yielding = [key for key in others if key not in set(leaving) and not is_alarmed(key)]
        for key in ranked:
            if key in members:
                continue
            if len(members) >= self._size:
                place = leaving or (yielding if is_alarmed(key) else [])
                if not place:
                    continue
                del members[place.pop(0)]
            members[key] = now
        self._members = members
        return list(members)
