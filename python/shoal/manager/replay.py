"""Orders as events, and the way back: a strategy that lives through a journal again stands where it stood."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from shoal.errors import StudyError
from shoal.manager.journal import Event, Line, encode
from shoal.manager.record import StudyRecord, as_report, event_at
from shoal.search.protocol import Inherit, Order, Set, Start, Strategy


def order_events(orders: Iterable[Order], record: StudyRecord) -> list[Event]:
    """Return orders that were given together as events, each as seen from before the first of them."""
    return [_order_event(order, record) for order in orders]


def _order_event(order: Order, record: StudyRecord) -> Event:
    event = {"event": "order", "order": type(order).__name__.lower(), **vars(order)}
    if not isinstance(order, Start):
        trial = record.trials[order.trial]
        event["progress"] = trial.progress
        if isinstance(order, Set | Inherit):
            event["old"] = trial.config
    if isinstance(order, Inherit):
        donor = record.trials[order.donor]
        progress = donor.since if donor.id in record.running else donor.progress
        event |= {"donor_progress": progress, "donor_changes": len(donor.changes)}
    return event


def replay(lines: Sequence[Line], record: StudyRecord, strategy: Strategy) -> None:
    """Bring a fresh record and a fresh strategy to the end of these lines.

    Raises:
        StudyError: The strategy does not give the orders that the journal says.
    """
    due: deque[Event] = deque()  # orders that must come next
    for line in lines:
        with event_at(f"journal, line {line.number}"):
            _live_again(line.event, record, strategy, due)
    if due:
        raise StudyError(f"journal, line {lines[-1].number}: the strategy now also orders {encode(due[0])}")


def _live_again(event: Event, record: StudyRecord, strategy: Strategy, due: deque[Event]) -> None:
    if event["event"] == "order":
        mine = due.popleft() if due else {}
        if encode(mine) != encode(event):
            raise StudyError(f"the strategy now orders {encode(mine)}")
        event = mine  # in the journal's a tuple has become a list
    record.apply(event)
    if event["event"] == "ask":
        due.extend(order_events(strategy.ask(event["free"]), record))
    elif event["event"] == "report":
        due.extend(order_events(strategy.tell(as_report(event)), record))
