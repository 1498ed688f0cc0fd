"""``import catlearn`` costs little beside ``import torch``."""

import subprocess
import sys
from statistics import median

CODE = "import time; s = time.process_time(); import torch; t = time.process_time(); import catlearn; print(t - s, time.process_time() - t)"


def test_import_time(report):
    runs = [tuple(map(float, subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stdout.split()))
            for _ in range(5)]  # fmt: skip
    torch_time, own = median(r[0] for r in runs), median(r[1] for r in runs)
    report("import catlearn after import torch", f"{own:.2f} s   beside {torch_time:.2f} s for torch")
    assert own < torch_time
