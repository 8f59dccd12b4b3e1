"""Starting the command line imports nothing slow, and a run nothing that it does not need."""

import json
import subprocess
import sys
from pathlib import Path

SLOW = ("torch", "river", "numpy", "pydantic", "matplotlib", "streamreplay.run")

UNNEEDED = {"torch._dynamo", "torch._inductor", "sympy", "river", "pandas", "pyarrow", "scipy"}

RUN = """
import gc, json, sys
from streamreplay.commands import main
quiet = ["--quiet", "--set", "run.emit=none"]
for command in (
    ["run", "ten.csv", "--out", "out", *quiet],
    ["run", "--resume", "--out", "out", *quiet],
    ["predict", "out", "ten.csv", "--quiet", "--format", "csv"],
):
    sys.argv = ["streamreplay", *command]
    try:
        main()
    except SystemExit as end:
        assert not end.code, end.code
print(json.dumps([[*sys.modules], gc.get_freeze_count(), gc.isenabled()]))
"""


def test_the_commands_import_what_is_slow_when_they_run() -> None:
    code = "import sys, streamreplay.commands.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {*SLOW} & {*done.stdout.split()}


def test_a_run_its_resume_and_predict_import_no_compiler_and_little_besides_torch(
    tmp_path: Path,
) -> None:
    rows = "".join(f"{i / 10},{i % 3},{'xy'[i % 2]}\n" for i in range(10))
    (tmp_path / "ten.csv").write_text("a,b,y\n" + rows)
    done = subprocess.run(
        [sys.executable, "-c", RUN], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    modules, frozen, enabled = json.loads(done.stdout.splitlines()[-1])
    assert not UNNEEDED & {*modules}
    not_ours = {"torch", "torchgen", "numpy", *sys.stdlib_module_names}
    others = [name for name in modules if name.split(".")[0] not in not_ours]
    assert 200 < len(others) < 400
    assert frozen > 50_000  # torch's objects, which no collection goes through
    assert enabled
