"""Signals while the core works."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from shoal.manager.interrupts import aside, interrupts


def seconds_until(happened, at_most=20.0):
    start = time.monotonic()
    while not happened() and time.monotonic() - start < at_most:
        time.sleep(0.01)
    return time.monotonic() - start


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def test_one_is_answered_while_a_call_runs(capsys):
    def call():
        interrupt()
        return seconds_until(lambda: caught)

    with interrupts() as caught:
        assert aside(call) < 10  # it need not end before the signal is seen
    assert caught == [signal.SIGINT]
    assert capsys.readouterr().err.startswith("Stopping after this round")


def test_the_second_ends_the_wait_at_once():
    let_go = threading.Event()

    def call():
        for _ in range(2):
            interrupt()
            seconds_until(lambda: caught)
            time.sleep(0.2)  # two signals of a kind that wait together count once
        let_go.wait(20)

    with pytest.raises(KeyboardInterrupt), interrupts() as caught:
        aside(call)
    let_go.set()


def test_what_was_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts() as caught:
            interrupt()
            time.sleep(0.2)
        assert not caught
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_handler_of_c_code_stays(monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patched:
        patched.setattr(signal, "getsignal", lambda _: None)
        with interrupts():
            patched.undo()
            assert signal.getsignal(signal.SIGTERM) == before
    assert signal.getsignal(signal.SIGTERM) == before


def test_results_and_errors_come_through():
    assert aside(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        aside(lambda: 1 / 0)
