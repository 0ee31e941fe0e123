"""Strategies on recorded learning curves: thousands of workers in seconds, and no training.

table = shoal.simulate.Table.load("curves.npz")
run = shoal.simulate.run(search.ASHA(1000, max_epochs=table.length), table, workers=500)
run.utilisation, run.spent, run.trajectory()
"""

from shoal.simulate.simulation import Simulation, run
from shoal.simulate.table import Table, read_lcbench

__all__ = ["Simulation", "Table", "read_lcbench", "run"]
