"""Mixing: which stored rows are rehearsed with the incoming ones."""

from streamreplay.mixing.mixer import Mixer

__all__ = ["Mixer"]
