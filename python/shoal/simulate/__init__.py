"""Strategies on recorded learning curves: thousands of workers in seconds, and no training.

table = shoal.simulate.Table.load("digits")
asha = shoal.simulate.run(search.ASHA(5000, max_epochs=table.length), table, workers=500)
asha.utilisation, asha.spent, asha.regret()
shoal.simulate.compare({"ASHA": asha, "random": ...}, "simulation.png")
"""

from shoal.simulate.picture import compare
from shoal.simulate.rows import Rows
from shoal.simulate.simulation import Simulation
from shoal.simulate.table import Table, read_lcbench
from shoal.simulate.workers import run

__all__ = ["Rows", "Simulation", "Table", "compare", "read_lcbench", "run"]
