"""A stream-processing online learner that does not forget.

The names below are loaded when they are first used, so that importing the package is fast.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
