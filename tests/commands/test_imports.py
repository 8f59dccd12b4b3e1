"""Starting the command line imports nothing slow."""

import subprocess
import sys

SLOW = ("torch", "river", "numpy", "pydantic", "matplotlib", "streamreplay.run")


def test_the_commands_import_what_is_slow_when_they_run() -> None:
    code = "import sys, streamreplay.commands.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {*SLOW} & {*done.stdout.split()}
