"""The user's view: a study searches a space for the best config of a network, or of a function of your own."""

from shoal.study.replay import Replay
from shoal.study.result import Best, Result
from shoal.study.study import Study

__all__ = ["Best", "Replay", "Result", "Study"]
