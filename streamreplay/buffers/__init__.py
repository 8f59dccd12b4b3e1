"""Buffers: which rows of the stream are kept for rehearsal.

To add one: a class in `policies.py`, its name here and in ``streamreplay/__init__.pyi``, and a line
in ``docs/guides/buffers.md``. The contract tests and job files read `BUFFER_KINDS`.
"""

from collections.abc import Callable

from streamreplay.buffers.buffer import ExemplarsBuffer
from streamreplay.buffers.description import describe_state
from streamreplay.buffers.policies import (
    ClassBalancedBuffer,
    DecayedReservoirBuffer,
    ExperienceBalancedBuffer,
    ParametricBuffer,
    ReservoirSamplingBuffer,
    SlidingWindowBuffer,
    TaskBalancedBuffer,
)
from streamreplay.buffers.policy import Policy

__all__ = [
    "BUFFER_KINDS",
    "ClassBalancedBuffer",
    "DecayedReservoirBuffer",
    "ExemplarsBuffer",
    "ExperienceBalancedBuffer",
    "ParametricBuffer",
    "Policy",
    "ReservoirSamplingBuffer",
    "SlidingWindowBuffer",
    "TaskBalancedBuffer",
    "describe_state",
]

BUFFER_KINDS: dict[str, Callable[..., ExemplarsBuffer]] = {
    "class_balanced": ClassBalancedBuffer,
    "task_balanced": TaskBalancedBuffer,
    "experience_balanced": ExperienceBalancedBuffer,
    "reservoir": ReservoirSamplingBuffer,
    "parametric": ParametricBuffer,
    "window": SlidingWindowBuffer,
    "decayed": DecayedReservoirBuffer,
}
"""The buffers by their ``buffer.kind`` in a job file; a class's first line describes its kind."""
