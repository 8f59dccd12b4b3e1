"""Mixing: which stored rows are rehearsed beside the incoming ones."""

from streamreplay.mixing.mixer import Mixer

__all__ = ["Mixer"]
