"""Search spaces: named parameters with bounds and a scale, and constants beside them.

Each parameter maps to and from the unit interval on its own scale, linear or uniform in the logarithm; sampling, grids
and samplers all go through that one map. Whole numbers and lists divide the interval into cells, so their round trip is
exact. A float's ends are exact, and the rest is exact to rounding: on a log scale there are more floats than positions.

Parameters may depend on others, and combinations may be forbidden: `Space` has the rules.
"""

from shoal.space.lists import Bool, Choice, Ordinal
from shoal.space.numbers import Float, Int
from shoal.space.parameter import Ordered, Parameter, Rule
from shoal.space.space import HOT, Config, Space, is_hot

__all__ = [
    "HOT",
    "Bool",
    "Choice",
    "Config",
    "Float",
    "Int",
    "Ordered",
    "Ordinal",
    "Parameter",
    "Rule",
    "Space",
    "is_hot",
]
