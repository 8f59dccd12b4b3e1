"""Buffers: which rows of the stream are kept for rehearsal."""

from streamreplay.buffers.balanced import ClassBalancedBuffer, ReservoirSamplingBuffer
from streamreplay.buffers.base import ExemplarsBuffer

__all__ = ["ClassBalancedBuffer", "ExemplarsBuffer", "ReservoirSamplingBuffer"]
