"""Streams of many classes: the head grows in steps, and nothing else shows it."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from streamreplay import Batch, ClassBalancedBuffer, Mixer, Pipeline, Prequential, TorchLearner, mlp
from streamreplay.learners.methods.catalogue import METHODS
from streamreplay.learners.neural.layer_growth import head_width
from tests.contract.digest import plain


def pipeline(method: str = "er-slda") -> Pipeline:
    adam = partial(torch.optim.Adam, lr=0.01)
    return Pipeline(
        buffer=ClassBalancedBuffer(60, seed=0),
        mixer=Mixer(4),
        learner=TorchLearner(mlp([8]), adam, method=METHODS[method](), seed=0),
        evaluator=Prequential(),
    )


def batches(classes: int, rows: int = 3) -> list[Batch]:
    rng = np.random.default_rng(0)
    found = []
    for y in range(classes):
        x = rng.normal(size=(rows, 5)) + 3 * np.array([y % 2, y % 3, y % 5, y % 7, 0])
        found.append(Batch.from_arrays(x, [y, *rng.integers(0, y + 1, rows - 1)], start=rows * y))
    return found


def width(live: Pipeline) -> int:
    return int(live["learner"].module.state_dict()["2.weight"].shape[0])


@pytest.mark.parametrize("method", ["er", "er-slda", "er-ace", "lwf", "ncm"])
def test_a_wider_head_predicts_only_classes_it_has_met(method: str) -> None:
    live, met = pipeline(method), 0
    for batch in batches(140):
        scored = live.step(batch).scored
        assert scored is not None
        assert scored.prediction.max() < met
        met = max(met, int(batch.y.max()) + 1)
        assert width(live) == head_width(met)
        assert np.isfinite(scored.loss).all() or met < 3


def test_states_of_a_wide_head_are_exact() -> None:
    stream = batches(150)
    live = pipeline()
    want = [(plain(live.state_dict()), plain(live.step(batch).scored)) for batch in stream]
    for cut in (63, 64, 65, 66, 127, 128, 130):
        other = pipeline()
        source = pipeline()
        for batch in stream[:cut]:
            source.step(batch)
        other.load_state_dict(source.state_dict())
        assert plain(other.state_dict()) == want[cut][0]
        for number, batch in enumerate(stream[cut:], cut):
            assert plain(other.step(batch).scored) == want[number][1]


def test_up_to_64_classes_the_head_has_one_output_for_each() -> None:
    live = pipeline()
    for number, batch in enumerate(batches(70), 1):
        live.step(batch)
        assert width(live) == (number if number <= 64 else 128)


MEMORY = """
import json, resource, sys
from streamreplay.config import load_job
from streamreplay.run import RunOptions, run_job
sizes = []
for path in sys.argv[1:]:
    job = load_job(None, [f"source.path={path}", "source.batch_size=8", "run.emit=none"])
    run_job(job, RunOptions(quiet=True))
    sizes.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
print(json.dumps(sizes))
"""


def test_resident_size_stays_flat_while_labels_arrive(tmp_path: Path) -> None:
    def write(classes: int) -> Path:
        path = tmp_path / f"{classes}.jsonl"
        rows: list[Any] = [{"x": [i % 7, i % 5], "y": f"c{i // 8}"} for i in range(8 * classes)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    command = [sys.executable, "-c", MEMORY, str(write(70)), str(write(400))]
    before, after = json.loads(subprocess.check_output(command))
    assert after - before < 100
