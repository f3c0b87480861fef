"""The sides of the code's comparisons that were reached, and moves of inputs that reach others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

Sides = dict[str, set[bool]]  # by comparison and line, its outcomes
FARTHEST = 6.0  # powers of ten by which a value is moved
EVERYTHING = (1.0, -1.0, 2.0, -2.0, 3.0, -4.0)  # powers of ten for all values together


class Branches:
    """Which sides of each comparison were reached, anywhere and where gradients can be seen.

    Inputs of a large scale saturate what comes after a comparison, and then no gradient passes.
    So a side that only they have reached is looked for once more.
    """

    def __init__(self) -> None:
        self.anywhere: Sides = {}
        self.seen: Sides = {}

    def record(self, sides: Sides, *, visible: bool) -> None:
        """Add what was reached with one set of inputs."""
        for found in (self.anywhere, self.seen) if visible else (self.anywhere,):
            for site, outcomes in sides.items():
                found.setdefault(site, set()).update(outcomes)

    def moves(
        self, names: Sequence[str], sides_at: Callable[[Mapping[str, float]], Sides]
    ) -> Iterator[dict[str, float]]:
        """Yield factors on values, by name, with which a side is reached that was not seen.

        One value grows, by as little as it takes. Values after it shrink by as much, so that
        what follows the comparison does not saturate. `sides_at` is what is reached with factors.
        """

        def is_new(factors: Mapping[str, float], known: Sides) -> bool:
            return any(
                outcomes - known.get(site, set())
                for site, outcomes in sides_at(factors).items()
                if not site.startswith(("equal", "not_equal"))  # no factor makes values equal
            )

        for position in reversed(range(len(names))):  # those near the loss move the fewest others

            def factors(power: float, first: int = position) -> dict[str, float]:
                smaller = dict.fromkeys(names[first + 1 :], 10**-power)
                return {names[first]: 10**power, **smaller}

            if all(len(self.seen.get(site, ())) == 2 for site in self.anywhere):
                return
            low, high = 0.0, FARTHEST
            if is_new(factors(high), self.seen):
                while high - low > 0.2:
                    middle = (low + high) / 2
                    found = is_new(factors(middle), self.seen)
                    low, high = (low, middle) if found else (middle, high)
                yield factors(high)
        for power in EVERYTHING:
            together = dict.fromkeys(names, 10**power)
            if self._one_sided() and is_new(together, self.anywhere):
                yield together

    def _one_sided(self) -> Sides:
        return {site: sides for site, sides in self.anywhere.items() if len(sides) == 1}

    def notes(self) -> list[str]:
        """Return a remark for each comparison of which one side was never reached."""
        return [
            f"only one side was reached of a comparison that was always {str(*sides).lower()}: "
            + site.replace("|", " at ", 1)
            for site, sides in self._one_sided().items()
        ]
