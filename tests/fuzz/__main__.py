"""Run the fuzzer: ``python -m tests.fuzz``."""

import sys

from tests.fuzz.fuzzer import main

if __name__ == "__main__":
    sys.exit(main())
