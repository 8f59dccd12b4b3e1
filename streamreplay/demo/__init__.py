"""Run the demonstration: two real streams on which a learner forgets, with and without replay."""

from streamreplay.demo.runs import STREAMS, DemoRun, run_demo
from streamreplay.demo.show import draw, print_table

__all__ = ["STREAMS", "DemoRun", "draw", "print_table", "run_demo"]
