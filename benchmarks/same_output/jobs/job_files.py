"""Job files that jobs run."""

from __future__ import annotations

from benchmarks.same_output.job import INPUTS

DRIFT = f"""
[source]
path = "{INPUTS}/turning.jsonl"
batch_size = 8
[experiences]
by = "drift"
[buffer]
max_size = 100
[mixer]
steps = 1
[learner]
method = "er"
hidden = [8]
schedule = "inverse_sqrt(100)"
lr = 0.02
[evaluator]
report_every = 500
[run]
checkpoint_every = 700
save_predictions = true
[[drift]]
detector = "ADWIN(delta=0.05, clock=8)"
actions = ["new_experience", "replay(2.0, rows=300)", "lr(1.5, rows=300)", "restart_schedule"]
[[drift]]
detector = "DDM()"
warning_actions = ["checkpoint"]
actions = ["shrink(0.9)", "forget(400)", "lr(0.99)"]
[[drift]]
detector = "HDDMW(drift_confidence=0.05, warning_confidence=0.06)"
on = "label:n"
cooldown = 200
[[drift]]
detector = "PageHinkley(threshold=100)"
on = "features"
actions = ["checkpoint"]
"""


def drift_of_several() -> str:
    """Return the same detectors for two learners, each with actions of its own."""
    head, _, rest = DRIFT.partition("[learner]")
    head = head.replace('[experiences]\nby = "drift"\n', "")
    one, _, tail = rest.replace('"new_experience", ', "").partition("[evaluator]")
    two = one.replace("0.02", "0.001")
    return f'{head}[[learner]]{one}[[learner]]\nname = "slow"{two}[evaluator]{tail}'


SEVERAL = f"""
seed = 5
[source]
path = "{INPUTS}/rows.jsonl"
label = "y"
features = ["a", "b", "c", "d"]
batch_size = 16
[test]
share = 0.2
every = 300
[buffer]
max_size = 60
SHARED
[mixer]
batch_size_mem = 8
[evaluator]
report_every = 200
[run]
save_predictions = true
checkpoint_every = 300
"""
OWN_BUFFERS = (
    SEVERAL.replace("SHARED", "")
    + """
[[learner]]
name = "small"
hidden = [8]
method = "der++"
[[learner]]
module = "linear"
optimizer = "sgd"
lr = 0.1
[learner.buffer]
kind = "reservoir"
[learner.mixer]
steps = 2
[[learner]]
name = "été"
river = 'preprocessing.StandardScaler() | linear_model.SoftmaxRegression()'
allow_pickle = true
[learner.buffer]
kind = "none"
"""
)
SHARED_BUFFER = (
    SEVERAL.replace("SHARED", "shared = true")
    + """
[[learner]]
hidden = [8]
[[learner]]
module = "linear"
method = "mir"
[learner.mixer]
by = "class"
"""
)
