"""Populations among threads and processes that are not theirs."""

import subprocess
import sys
import threading
import time

import pytest
from tests.population.samples import LARGE, TINY, blocks, labelled

from shoal import Population

BEGIN = """
import os, resource, sys, threading, time
import shoal
from tests.population.samples import LARGE, blocks, labelled
data = labelled()
population = shoal.Population(LARGE, members=3, device="cpu", threads=2)
population.train(data, steps=2)
"""


def run(code):
    """Run it in a process of its own, after the beginning; return what it has written."""
    command = [sys.executable, "-c", BEGIN + code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("child", ["population.train(data, steps=3)", "del population", "sys.exit()"])
def test_a_forked_process_has_its_own_threads(child):
    assert run(f"""
before = blocks(population)
if os.fork() == 0:
    {child}
    if "population" in globals():
        twin = shoal.Population(LARGE, members=3, device="cpu", threads=1)
        twin.train(data, steps=5)
        assert blocks(population) == blocks(twin)
    os._exit(0)
assert os.wait()[1] == 0
assert blocks(population) == before
population.train(data, steps=3)
print("both")
""").endswith("both\n")


def test_an_interpreter_may_end_while_a_daemon_thread_trains():
    code = """
def train():
    while True:
        population.train(data, steps=30)
threading.Thread(target=train, daemon=True).start()
time.sleep(0.2)
print("end")
"""
    assert run(code) == "end\n"


def test_threads_that_the_system_does_not_give_are_an_error():
    assert "threads: only " in run("""
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
try:
    shoal.Population(LARGE, device="cpu", threads=1024, input_shape=(7,))
except shoal.DeviceError as error:
    print(error)
population.train(data, steps=1)
""")


CALLS = [
    lambda p: p.train(labelled(), steps=1),
    lambda p: p.evaluate(labelled()),
    lambda p: p.predict(labelled()),
    lambda p: p.copy(0, 1),
    lambda p: p.inherit(0, 1),
    lambda p: p.crossover(0, 1, 2),
    lambda p: p.mutate(0, 0.1),
    lambda p: p.cross_hyperparameters(0, 1, 2),
    lambda p: p.perturb(0, {"lr": (0.1, 1)}),
    lambda p: p.set(0, lr=0.5),
    lambda p: p.reset(0, hyperparameters={"lr": 0.5}),
    lambda p: p.copy_state(0),
    lambda p: p.load_state(0, bytes(p.state(0))),
]


def test_a_second_thread_is_refused_and_changes_nothing():
    population, twin = (Population(LARGE, members=3, device="cpu", threads=2) for _ in range(2))
    for each in (population, twin):
        each.train(labelled(), steps=1)
    training = threading.Thread(target=lambda: population.train(labelled(), steps=20_000))
    training.start()
    while (population.steps == 1).all():
        time.sleep(0.001)
    for call in CALLS:
        with pytest.raises(ValueError, match="in use by another thread"):
            call(population)
    training.join()
    twin.train(labelled(), steps=20_000)
    assert blocks(population) == blocks(twin)
    assert population.hyperparameters(0) == twin.hyperparameters(0)


def test_two_populations_train_in_two_threads():
    alone = Population(TINY, members=40, device="cpu", threads=2)
    alone.train(labelled(), steps=500)
    others = [Population(TINY, members=40, device="cpu", threads=2) for _ in range(2)]
    threads = [threading.Thread(target=other.train, args=(labelled(), 500)) for other in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [blocks(other) for other in others] == [blocks(alone)] * 2
