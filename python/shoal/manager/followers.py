"""All ranks of a supervised study, as rank 0 speaks to them: orders out, trainings in.

Orders are gathered and go out in one message to each rank, in the order in which they were given. Rank 0's own go the
same way: it carries them out while it listens.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

from shoal.errors import StudyError
from shoal.manager.follower import Follower
from shoal.manager.messages import Call, Caught, Dismissal, Orders, Parcel, Ready, Trained
from shoal.manager.transport import Message, Transport
from shoal.manager.waiting import until

_P = ParamSpec("_P")


class Followers:
    """All ranks, rank 0 among them, where this is.

    Args:
        own: Rank 0 itself.
        transport: Between the ranks.
    """

    def __init__(self, own: Follower, transport: Transport) -> None:
        self.own, self.size, self._transport = own, transport.size, transport
        self._calls: defaultdict[int, list[Call]] = defaultdict(list)  # that ranks have not been told yet
        self._heard: deque[Message] = deque()  # of trainings, and errors
        self._ready = 0  # ranks
        self._caught: list[int] = []  # signals of other ranks

    def tell(
        self, rank: int, call: Callable[Concatenate[Follower, _P], Any], *given: _P.args, **named: _P.kwargs
    ) -> None:
        """Let a rank do this after all that it was told before; it hears of it when this rank waits for others."""
        self._calls[rank].append((call, given, named))

    def others(self, call: Callable[Concatenate[Follower, _P], Any], *given: _P.args, **named: _P.kwargs) -> None:
        """Let all other ranks do this now."""
        for rank in range(1, self.size):
            self.tell(rank, call, *given, **named)
        self._flush()

    def trained(self) -> tuple[int, Trained]:
        """Wait for the next rank that has trained; return it, and what came of it. An error of any is raised."""
        self._flush()
        self._until(lambda: bool(self._heard))
        rank, value, _ = self._heard.popleft()
        if not isinstance(value, Trained):
            raise value
        return rank, value

    def agree(self) -> None:
        """Wait until all ranks have done what they were told, beside training. An error of one is raised."""
        self._ready = 0
        for rank in range(self.size):
            self.tell(rank, Follower.answer)
        self._flush()
        self._until(lambda: self._ready == self.size or bool(self._errors))
        if self._errors:
            raise self._errors[0]

    def signals(self, caught: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Return those that this rank has caught, and those that others have."""
        self._listen()
        return [caught, tuple(self._caught)]

    def dismiss(self, error: StudyError) -> None:
        """Tell all others that the study has failed."""
        for rank in range(1, self.size):
            self._transport.post(rank, Dismissal(error))

    @property
    def _errors(self) -> list[StudyError]:
        return [message.value for message in self._heard if isinstance(message.value, StudyError)]

    def _until(self, done: Callable[[], bool]) -> None:
        until(done, self._listen, busy=lambda: self.own.busy, nap=self.own.nap)

    def _flush(self) -> None:
        calls, self._calls = self._calls, defaultdict(list)
        for rank in sorted(calls):
            self._transport.post(rank, Orders(calls[rank]))

    def _listen(self) -> bool:
        """Do what this rank itself was told, and look for a message."""
        done = self.own.step()
        message = self._transport.poll()
        if message is None:
            return done
        match message.value:
            case Orders() | Parcel():
                self.own.hear(message)
            case Ready():
                self._ready += 1
            case Caught(number):
                self._caught.append(number)
            case _:
                self._heard.append(message)
        return True
