"""The figures of merit.

A figure makes one number of a trial's metrics. It looks at the trial as it is now, and at the points of the curve that
led to its weights; ``sign`` is -1 where the largest value of its metric is best, and 1 where the smallest is. Scores
are better the lower they are, and not finite only for a trial that has diverged.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

from shoal.space.checks import real

Metrics: TypeAlias = Mapping[str, float]
Point: TypeAlias = tuple[int, Metrics]  # progress, and the metrics there

#: Scores from here on are those of trials that have not reached a target: above any number of steps or weights.
UNREACHED = 1e18


class Merit(ABC):
    """Base of the figures: frozen dataclasses whose fields are plain values.

    Attributes:
        metric: The metric whose direction it follows.
    """

    metric: str

    @property
    @abstractmethod
    def label(self) -> str:
        """Its name, for people; its value is among a trial's metrics under this name."""

    @property
    def curve(self) -> str:
        """The metric that a trial's learning curve shows."""
        return self.label

    @property
    @abstractmethod
    def needs(self) -> tuple[str, ...]:
        """The metrics that it is made of."""

    @abstractmethod
    def score(self, now: Point, past: Iterable[Point], sign: int) -> float:
        """Return what to rank by."""

    def figure(self, score: float, sign: int) -> float:
        """Return a score as people count it."""
        return sign * score

    def describe(self) -> Any:
        """Return the table that `read_merit` reads back."""
        return {"name": type(self).__name__} | {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]


@dataclass(frozen=True)
class Metric(Merit):
    """A metric as it is."""

    metric: str

    @property
    def label(self) -> str:
        """The metric's name."""
        return self.metric

    @property
    def needs(self) -> tuple[str, ...]:
        """Itself."""
        return (self.metric,)

    def score(self, now: Point, past: Iterable[Point], sign: int) -> float:  # noqa: ARG002
        """Return the present value, signed."""
        return sign * now[1][self.metric]

    def describe(self) -> Any:
        """Return the name."""
        return self.metric


@dataclass(frozen=True)
class Function(Merit):
    """A user's function of the metrics; read from a journal, it has a name and no function."""

    function: str  # "module:qualified name"
    call: Callable[[Metrics], float] | None = None

    @classmethod
    def of(cls, call: Callable[[Metrics], float]) -> Function:
        """Return the figure of a function."""
        name = getattr(call, "__qualname__", type(call).__qualname__)
        return cls(f"{getattr(call, '__module__', None) or type(call).__module__}:{name}", call)

    @property
    def label(self) -> str:
        """The function's own name."""
        return self.function.rpartition(":")[2].rpartition(".")[2]

    @property
    def metric(self) -> str:  # type: ignore[override]
        """It is its own metric."""
        return self.label

    @property
    def needs(self) -> tuple[str, ...]:
        """Nobody knows."""
        return ()

    def score(self, now: Point, past: Iterable[Point], sign: int) -> float:  # noqa: ARG002
        """Call the function."""
        assert self.call is not None
        value = self.call(dict(now[1]))
        if isinstance(value, bool | str) or not hasattr(value, "__float__"):
            raise TypeError(f"must return a number, got {value!r}")
        return sign * float(value)

    def describe(self) -> Any:
        """Return the name."""
        return {"name": "Function", "function": self.function}


@dataclass(frozen=True)
class Penalised(Merit):
    """A metric with a penalty on what the network costs: ``metric + weight log10(cost)`` where less is better.

    Where more is better it is ``metric - weight log10(cost)``. In the logarithm a network of twice the cost pays the
    same wherever it starts, and the weight is what a factor of ten is worth: 0.01 gives up a per cent of accuracy for a
    tenth of the weights. (Tan et al. 2019, MnasNet, multiply accuracy by a power of the latency: the same trade, in
    the logarithm of both.)

    Args:
        metric: What is to be good.
        weight: Of the penalty, >= 0.
        on: The cost, a metric above 0: ``"parameters"`` or ``"multiply_adds"``, say.
    """

    metric: str
    weight: float
    on: str = "parameters"

    def __post_init__(self) -> None:
        _names(self, "metric", "on")
        if real("weight", self.weight) < 0:
            raise ValueError(f"weight: must be >= 0, got {self.weight!r}")

    @property
    def label(self) -> str:
        """``penalised accuracy``."""
        return f"penalised {self.metric}"

    @property
    def needs(self) -> tuple[str, ...]:
        """The metric and the cost."""
        return self.metric, self.on

    def score(self, now: Point, past: Iterable[Point], sign: int) -> float:  # noqa: ARG002
        """Return the signed metric, and the penalty on top."""
        _, metrics = now
        return sign * metrics[self.metric] + self.weight * math.log10(metrics[self.on])


class _Target(Merit):
    """Base of figures with a target for the metric.

    Trials that reach it come first, by a cost. All others are behind them, by how far they are from it: their score is
    ``UNREACHED (1 + distance)``, which is finite and as fine as the distance. As people count it, it is infinite.
    """

    target: float

    def __post_init__(self) -> None:
        real("target", self.target)

    @property
    def curve(self) -> str:
        """The metric: the figure itself says nothing before the target."""
        return self.metric

    def figure(self, score: float, sign: int) -> float:  # noqa: ARG002
        """Return the cost, or infinity."""
        return math.inf if score >= UNREACHED else score

    def _behind(self, level: float, sign: int) -> float:
        return UNREACHED * (1 + (level - sign * self.target))


@dataclass(frozen=True)
class TimeToReach(_Target):
    """When a metric first reaches a target: the sooner the better.

    The time is interpolated linearly between the first point of the curve that is at the target or beyond it and the
    point before; where there is none before, it is that of the first point. The curve is that of the weights: an heir
    has its donor's, up to where it inherited. Trials that never reach the target are behind all that did, by the best
    value that they ever had. Points are as close as the study records them.

    Args:
        metric: What is to be reached.
        target: Its value.
        on: The time: ``"progress"``, in the strategy's unit, or a metric that grows: ``"steps"``, ``"epochs"``,
            ``"seconds"`` of training.
    """

    metric: str
    target: float
    on: str = "progress"

    def __post_init__(self) -> None:
        _names(self, "metric", "on")
        super().__post_init__()

    @property
    def label(self) -> str:
        """``epochs to accuracy 0.95``."""
        return f"{self.on} to {self.metric} {self.target:g}"

    @property
    def needs(self) -> tuple[str, ...]:
        """The metric, and the time where that is a metric."""
        return (self.metric,) if self.on == "progress" else (self.metric, self.on)

    def score(self, now: Point, past: Iterable[Point], sign: int) -> float:
        """Return the time; what the metric is at present matters only in that it must be finite."""
        if not math.isfinite(now[1][self.metric]):
            return math.nan
        goal, best = sign * self.target, math.inf
        before: tuple[float, float] | None = None
        for progress, metrics in (*past, now):
            level, time = sign * metrics[self.metric], progress if self.on == "progress" else metrics[self.on]
            if level <= goal:
                return float(time if before is None else _crossing(before, (time, level), goal))
            best = min(best, level)
            before = time, level
        return self._behind(best, sign)


@dataclass(frozen=True)
class CostAt(_Target):
    """What a network costs, among those that are good enough: the cheaper the better.

    Trials that are not good enough are behind all that are, by how good they are.

    Args:
        cost: The metric that counts once the target is reached: ``"multiply_adds"``, ``"parameters"``,
            ``"inference_seconds"``.
        metric: What must be reached, at the present point.
        target: Its value.
    """

    cost: str
    metric: str
    target: float

    def __post_init__(self) -> None:
        _names(self, "cost", "metric")
        super().__post_init__()

    @property
    def label(self) -> str:
        """``parameters at accuracy 0.95``."""
        return f"{self.cost} at {self.metric} {self.target:g}"

    @property
    def needs(self) -> tuple[str, ...]:
        """The metric and the cost."""
        return self.metric, self.cost

    def score(self, now: Point, past: Iterable[Point], sign: int) -> float:  # noqa: ARG002
        """Return the cost."""
        _, metrics = now
        level = sign * metrics[self.metric]
        return float(metrics[self.cost]) if level <= sign * self.target else self._behind(level, sign)


def _crossing(before: tuple[float, float], after: tuple[float, float], goal: float) -> float:
    """Return where the line between two (time, level) points meets a level that only the second has reached."""
    (start, high), (end, low) = before, after
    return start + (end - start) * (high - goal) / (high - low)


def _names(merit: Merit, *names: str) -> None:
    for name in names:
        if not isinstance(getattr(merit, name), str):
            raise ValueError(f"{name}: must be the name of a metric, got {getattr(merit, name)!r}")
