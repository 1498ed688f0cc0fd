"""One thread, idle threads sleeping, and a table of all ratios at the end."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest
import torch

torch.set_num_threads(1)
_TABLE: list[str] = []


@pytest.fixture
def report(request: pytest.FixtureRequest):
    """Call it with a label and a comparison (or any text) to have a line in the table."""

    def line(label: str, result: object) -> None:
        _TABLE.append(f"{label:58} {result}")

    return line


def pytest_terminal_summary(terminalreporter):
    terminalreporter.section("ratios (one thread, process CPU time, paired medians)")
    for line in _TABLE:
        terminalreporter.write_line(line)
