"""What would break for someone who installs the wheel."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_its_data(tmp_path):
    command = [sys.executable, "-m", "pip", "wheel", str(ROOT), "--no-deps", "--no-build-isolation", "-q", "-w", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    (wheel,) = tmp_path.glob("catlearn-*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    ours = {
        str(p.relative_to(ROOT)) for p in (ROOT / "catlearn").rglob("*") if p.suffix in (".py", ".css", ".html") or p.name == "py.typed"
    }
    assert "catlearn/py.typed" in inside and ours <= inside
