"""What a study is ranked by: figures of merit with their directions, as a user gives them and as a journal tells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any

from shoal import rules
from shoal.merit.figures import CostAt, Function, Merit, Metric, Penalised, Point, TimeToReach
from shoal.space.checks import known_keys

#: What every network costs, the same in each run: numbers of weights, of multiplications of one sample's forward pass,
#: and of what it was trained for.
COSTS = ("parameters", "multiply_adds", "steps", "epochs")
#: What is measured with a clock, and only where a figure asks for it: no two runs give the same.
TIMES = ("seconds", "inference_seconds")

_FIGURES: dict[str, type[Merit]] = {cls.__name__: cls for cls in (Penalised, TimeToReach, CostAt)}


@dataclass(frozen=True)
class Objective:
    """A figure of merit, and whether the ``"min"`` or ``"max"`` of its metric is best."""

    merit: Merit
    mode: str

    @property
    def label(self) -> str:
        """The figure's name."""
        return self.merit.label

    @property
    def curve(self) -> str:
        """The metric that a trial's learning curve shows."""
        return self.merit.curve

    @property
    def maximise(self) -> bool:
        """Whether the largest value of its metric is best."""
        return self.mode == "max"

    @property
    def rises(self) -> bool:
        """Whether the largest value of the figure is best, as people count it."""
        return self.figure(1.0) > self.figure(2.0)

    @property
    def _sign(self) -> int:
        return -1 if self.maximise else 1

    def score(self, now: Point, past: Iterable[Point]) -> float:
        """Return what to rank by, lower is better; not finite means diverged."""
        return self.merit.score(now, past, self._sign)

    def figure(self, score: float) -> float:
        """Return a score as people count it; infinite where a target was not reached."""
        return self.merit.figure(score, self._sign)


def objectives(metric: Any, mode: Any, known: Mapping[str, str | None] | None) -> tuple[Objective, ...]:
    """Return what a user's ``metric`` and ``mode`` mean.

    Args:
        metric: A name, a function of the metrics, a `Merit` or its description; or a list of these.
        mode: ``"min"``, ``"max"``, or None where it follows from the metric; or a list of these.
        known: The metrics and their modes, or no mode where the user has to say it; None where only training tells.

    Raises:
        ValueError: One of them breaks its rule.
    """
    several = isinstance(metric, list | tuple)
    given = list(metric) if several else [metric]
    modes = list(mode) if isinstance(mode, list | tuple) else [mode] * len(given)
    if not given or len(modes) != len(given):
        raise ValueError(f"mode: must have one entry for each of {len(given)} metrics, got {mode!r}")
    found = []
    for i, (each, direction) in enumerate(zip(given, modes, strict=True)):
        place = f"[{i}]" if several else ""
        merit = read_merit(each, f"metric{place}")
        found.append(Objective(merit, _mode(merit, direction, known, place)))
    labels = [each.label for each in found]
    if len(set(labels)) < len(labels):
        raise ValueError(f"metric: must name different objectives, got {', '.join(labels)}")
    return tuple(found)


def _mode(merit: Merit, mode: Any, known: Mapping[str, str | None] | None, place: str) -> str:
    if known is None or isinstance(merit, Function):
        if known is not None and merit.label in known:
            raise ValueError(f"metric{place}: the function must not have the name of a metric, got {merit.label}")
        return rules.choice(mode, f"mode{place}", ("min", "max"))
    for name in merit.needs:
        rules.choice(name, f"metric{place}", known)
    right = known[merit.metric]
    if right is None:
        return rules.choice(mode, f"mode{place}", ("min", "max"))
    if mode not in (None, right):
        raise ValueError(f'mode{place}: must be "{right}" for the metric {merit.metric}, got {mode!r}')
    return right


def read_merit(given: Any, place: str = "metric") -> Merit:
    """Return a figure of merit from a name, a function, a figure or its description."""
    if isinstance(given, Merit):
        return given
    if isinstance(given, str):
        return Metric(given)
    if isinstance(given, Mapping):
        return _from_table(given, place)
    if callable(given):
        return Function.of(given)
    raise ValueError(f"{place}: must be the name of a metric, a function or a figure of shoal.merit, got {given!r}")


def _from_table(table: Mapping[str, Any], place: str) -> Merit:
    arguments = dict(table)
    name = arguments.pop("name", None)
    if name not in list(_FIGURES):
        raise ValueError(f"{place}.name: must be one of {', '.join(_FIGURES)}, got {name!r}")
    figure = _FIGURES[name]
    try:
        known_keys(arguments, [field.name for field in fields(figure)])  # type: ignore[arg-type]
        for field in fields(figure):  # type: ignore[arg-type]
            if field.name not in arguments and field.default is MISSING:
                raise ValueError(f"{field.name}: missing")
        return figure(**arguments)
    except ValueError as error:
        raise ValueError(f"{place}.{error}") from None


def describe_objectives(found: Sequence[Objective]) -> dict[str, Any]:
    """Return the ``metric`` and ``mode`` of a journal's header: lists where there are several."""
    merits, modes = [each.merit.describe() for each in found], [each.mode for each in found]
    return {"metric": merits, "mode": modes} if len(found) > 1 else {"metric": merits[0], "mode": modes[0]}


def read_objectives(header: Mapping[str, Any]) -> tuple[Objective, ...]:
    """Return what `describe_objectives` wrote; functions are known by name alone, and cannot be called."""
    metric, mode = header["metric"], header["mode"]
    merits, modes = (metric, mode) if isinstance(metric, list) else ([metric], [mode])
    return tuple(Objective(_recorded(merit), each) for merit, each in zip(merits, modes, strict=True))


def _recorded(merit: Any) -> Merit:
    if isinstance(merit, Mapping) and merit.get("name") == "Function":
        return Function(merit["function"])
    return read_merit(merit)
