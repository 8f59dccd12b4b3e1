"""Run the README's first example with the streamreplay that this Python has, far from a checkout.

    make test-wheel

It is what a user does who installs the wheel and nothing else: no extras, none of the tests'
libraries. Each line that the README shows has to come, but for what a clock has measured.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
CLOCK = re.compile(r"\d+\.\d s \([\d,]+ rows/s\)")


def example() -> list[tuple[str, list[str]]]:
    """Return the commands under "At the shell" that run streamreplay, each with its output."""
    section = README.read_text().partition("## At the shell")[2]
    text = section.partition("```console\n")[2].partition("```")[0]
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:].partition("  #")[0].strip(), []))
        else:
            found[-1][1].append(line)
    return [each for each in found if each[0].startswith("streamreplay ")]


def main() -> None:
    place = Path(sys.executable).parent
    where = [
        sys.executable,
        "-c",
        "import streamreplay as s; print(s.__file__, s.data_path('flights.csv.gz').parent)",
    ]
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    commands = example()
    with tempfile.TemporaryDirectory() as folder:
        package, data = subprocess.check_output(where, cwd=folder, env=env, text=True).split()
        if place.parent not in Path(package).parents:
            sys.exit(f"{package} is not installed in {place.parent}")
        (Path(folder) / "data").symlink_to(data)
        for command, expected in commands:
            name, *arguments = shlex.split(command)
            done = subprocess.run(
                [place / name, *arguments],
                cwd=folder,
                env={**env, "COLUMNS": "500", "OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            came = CLOCK.sub("...", done.stdout + done.stderr).splitlines()
            wanted = [CLOCK.sub("...", line) for line in expected]
            if done.returncode or came != wanted:
                sys.exit("\n".join([f"$ {command}", *came, f"exit code {done.returncode}"]))
            print(f"$ {command}", *came, sep="\n")
    print(f"{len(commands)} passed, 0 failed")


if __name__ == "__main__":
    main()
