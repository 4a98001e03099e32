from __future__ import annotations

import pytest
import torch


def pytest_addoption(parser):
    parser.addoption("--threads", type=int, default=1, help="torch's threads while a benchmark runs")


@pytest.fixture
def threads(request):
    """As many as ``python -m bench --threads`` says, one by default."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.config.getoption("--threads"))
    yield
    torch.set_num_threads(before)
