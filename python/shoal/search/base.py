"""What a user writes: a description of a strategy, checked at once, without space and seed. ``bind`` makes it run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from shoal.search.protocol import Strategy, Unit
from shoal.space import Space
from shoal.space.checks import jsonable, plain, whole


@dataclass(frozen=True)
class Search(ABC):
    """Base of the descriptions: frozen dataclasses whose fields are plain values or have a ``describe``.

    Attributes:
        several: Whether it ranks by several objectives too (`shoal.search.ranking.rank`), or needs a single score.
    """

    several: ClassVar[bool] = True

    def bind(self, space: Space | Mapping[str, Any], seed: int = 0, steps_per_epoch: int = 1) -> Strategy:
        """Return the strategy for a space.

        Args:
            space: A `Space`, or the mapping that makes one.
            seed: The same seed and the same reports give the same orders.
            steps_per_epoch: Steps in an epoch, for strategies that count both; one with a single unit does not ask.

        Raises:
            ValueError: If an argument is wrong, or the strategy does not fit the space.
        """
        whole("steps_per_epoch", steps_per_epoch, least=1)
        space = space if isinstance(space, Space) else Space(space)
        strategy = self._bind(space, whole("seed", seed, least=0))
        plan = strategy.plan()
        initial = plan.trials if plan.initial is None else plan.initial
        if len(space.begin_with) > initial:
            rule = f"must be at most {initial} configs, for so many trials begin before anything is known"
            raise ValueError(f"space.begin_with: {rule}, got {len(space.begin_with)}")
        return strategy

    def describe(self) -> dict[str, Any]:
        """Return a JSON-able table that `from_description` reads back; what is None is left out.

        A function is described by its name alone, which is not read back.
        """
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {"name": type(self).__name__} | {name: _table(name, v) for name, v in values.items() if v is not None}

    def reads(self, name: str) -> bool:  # noqa: ARG002
        """Tell whether it reads this parameter of a config, which then makes a difference without a network."""
        return False

    @abstractmethod
    def _bind(self, space: Space, seed: int) -> Strategy:
        """Return the strategy; space and seed are checked."""


def one_unit(**durations: int | None) -> tuple[int, Unit]:
    """Return the one duration that is given, and its unit.

    Args:
        durations: First the duration in epochs by its name, then the one in steps.
    """
    given = {name: value for name, value in durations.items() if value is not None}
    if len(given) != 1:
        both = " and ".join(durations)
        raise ValueError(f"{both}: one of them must be given, got {'both' if given else 'neither'}")
    (name, value), (in_epochs, *_) = *given.items(), durations
    return whole(name, value, least=1), "epochs" if name == in_epochs else "steps"


def intervals(
    epochs: int | None, interval_epochs: int | None, steps: int | None, interval: int | None
) -> tuple[Sequence[int], Unit]:
    """Return the progress at which each interval of a training ends, and its unit. The last one may be short."""
    total, unit = one_unit(epochs=epochs, steps=steps)
    length, unit_of_interval = one_unit(interval_epochs=interval_epochs, interval=interval)
    name = "interval_epochs" if unit == "epochs" else "interval"
    if unit != unit_of_interval:
        raise ValueError(f"{name}: must be given with {unit}, for all durations are in one unit")
    if length > total:
        raise ValueError(f"{name}: must be at most {unit} = {total}, got {length}")
    return [*range(length, total, length), total], unit


def _table(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _table(key, each) for key, each in value.items()}
    if hasattr(value, "describe"):
        return value.describe()
    return qualified(value) if callable(value) else jsonable(plain(name, value))


def qualified(function: Callable[..., Any]) -> str:
    """Return a function's name with its module, ``"mine.area"``; of a callable object its class's."""
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"
