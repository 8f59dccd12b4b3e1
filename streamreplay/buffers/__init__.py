"""Buffers: which rows of the stream are kept for rehearsal."""

from streamreplay.buffers.base import ExemplarsBuffer, Policy
from streamreplay.buffers.buffers import (
    ClassBalancedBuffer,
    DecayedReservoirBuffer,
    ExperienceBalancedBuffer,
    ParametricBuffer,
    ReservoirSamplingBuffer,
    SlidingWindowBuffer,
    TaskBalancedBuffer,
)
from streamreplay.buffers.description import describe_state

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
