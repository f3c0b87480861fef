"""The sides of the code's comparisons that were reached, and moves of inputs that reach others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from numpy_rnn.checking.regimes import InputRegime

Sides = dict[str, set[bool]]  # by comparison and line, its outcomes
FARTHEST = 6.0  # powers of ten by which a value is moved


class Branches:
    """Which sides of each comparison were reached, anywhere and where gradients can be seen.

    Inputs of a large scale saturate what comes after a comparison, and then no gradient passes.
    So a side that only they have reached is looked for once more.
    """

    def __init__(self) -> None:
        self.anywhere: Sides = {}
        self.seen: Sides = {}

    def record(self, sides: Sides, regime: InputRegime) -> None:
        """Add what was reached with the inputs of a regime."""
        for found in (self.anywhere, self.seen) if regime.visible else (self.anywhere,):
            for site, outcomes in sides.items():
                found.setdefault(site, set()).update(outcomes)

    def moves(
        self, names: Sequence[str], sides_at: Callable[[InputRegime], Sides]
    ) -> Iterator[InputRegime]:
        """Yield regimes that move values, each to a side of a comparison that was not seen.

        One value grows, by as little as it takes. Values after it shrink by as much, so that
        what follows the comparison does not saturate. Then all values grow or shrink together.
        """
        signs = [{n: 1, **dict.fromkeys(names[i + 1 :], -1)} for i, n in enumerate(names)]
        for moved in [*reversed(signs), dict.fromkeys(names, 1), dict.fromkeys(names, -1)]:
            if all(len(self.seen.get(site, ())) == 2 for site in self.anywhere):
                return
            low, high = 0.0, FARTHEST
            if self._is_new(sides_at(_moved_by(high, moved))):
                while high - low > 0.2:
                    middle = (low + high) / 2
                    is_new = self._is_new(sides_at(_moved_by(middle, moved)))
                    low, high = (low, middle) if is_new else (middle, high)
                yield _moved_by(high, moved)

    def _is_new(self, sides: Sides) -> bool:
        return any(
            outcomes - self.seen.get(site, set())
            for site, outcomes in sides.items()
            if not site.startswith(("equal", "not_equal"))  # no factor makes values equal
        )

    def notes(self) -> list[str]:
        """Return a remark for each comparison of which one side was never reached."""
        return [
            f"only one side was reached of a comparison that was always {str(*sides).lower()}: "
            + site.replace("|", " at ", 1)
            for site, sides in self.anywhere.items()
            if len(sides) == 1
        ]


def _moved_by(power: float, signs: dict[str, int]) -> InputRegime:
    name, factor = next(iter(signs)), 10 ** (power * next(iter(signs.values())))
    alike = len(signs) > 1 and len(set(signs.values())) == 1
    what = "everything" if alike else name
    factors = tuple((n, 10 ** (power * sign)) for n, sign in signs.items())
    return InputRegime(f"{what} times {factor:.3g}", factors=factors)
