"""Tests leave nothing behind outside their temporary folders."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest


def test_temporary_files_are_pytests_in_this_process_and_its_children(tmp_path_factory):
    own = tmp_path_factory.getbasetemp()
    code = "import tempfile; print(tempfile.gettempdir())"
    child = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    for folder in (tempfile.gettempdir(), tempfile.mkdtemp(), child):
        assert Path(folder).is_relative_to(own)


def test_stable_baselines_logs_there(tmp_path_factory):
    logger = pytest.importorskip("stable_baselines3.common.logger")
    assert Path(logger.configure().dir).is_relative_to(tmp_path_factory.getbasetemp())
