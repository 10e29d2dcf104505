"""Samples and what is said of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field


def quantile(samples: Sequence[float], share: float) -> float:
    """Return the smallest sample that at least `share` of all do not exceed; NaN of none."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


@dataclass
class Figures:
    """Samples of one row on one server."""

    samples: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Return the middle one."""
        return quantile(self.samples, 0.5)

    def tail(self, share: float) -> float:
        """Return the quantile that the row's target is about."""
        return quantile(self.samples, share)


@dataclass
class Results:
    """What was measured: samples by server and row, in the unit of the row."""

    by_server: dict[str, dict[str, Figures]] = field(default_factory=dict)

    def add(self, server: str, row: str, *samples: float) -> None:
        """Take samples of a row."""
        self.by_server.setdefault(server, {}).setdefault(row, Figures()).samples += samples

    def of(self, server: str, row: str) -> Figures:
        """Return what was measured of a row, perhaps nothing."""
        return self.by_server.get(server, {}).get(row, Figures())
