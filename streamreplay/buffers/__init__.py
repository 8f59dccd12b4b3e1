"""Buffers: which rows of the stream are kept for rehearsal."""

from streamreplay.buffers.base import ExemplarsBuffer, Policy
from streamreplay.buffers.description import describe_state
from streamreplay.buffers.kinds import (
    ClassBalancedBuffer,
    DecayedReservoirBuffer,
    ExperienceBalancedBuffer,
    ParametricBuffer,
    ReservoirSamplingBuffer,
    SlidingWindowBuffer,
    TaskBalancedBuffer,
)

__all__ = [
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
