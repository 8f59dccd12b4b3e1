"""Mixing: which stored rows are rehearsed beside the incoming ones.

The mixer is a stage; the loaders are shaped like torch's, for loops that users write themselves.
The names below are loaded when they are first used: a stage needs no torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
