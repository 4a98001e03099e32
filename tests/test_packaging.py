"""What the files that pip, cmake and citation tools read say is one thing."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from mamrl.games.half_cheetah import MUJOCO_VERSION

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_a_plain_build_brings_the_mujoco_that_half_cheetah_asks_for():
    exact = f"mujoco=={MUJOCO_VERSION}"
    assert exact in PROJECT["build-system"]["requires"]
    assert exact in PROJECT["project"]["optional-dependencies"]["mujoco"]
    assert f"MAMRL_MUJOCO_VERSION {MUJOCO_VERSION})" in (ROOT / "cmake/mujoco.cmake").read_text()


def test_cmake_finds_mujoco_where_pip_puts_a_requirement_of_an_isolated_build(tmp_path):
    overlay = tmp_path / "overlay" / "mujoco"
    overlay.mkdir(parents=True)
    (overlay / "__init__.py").touch()
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.24)\nproject(probe LANGUAGES NONE)\n"
        "find_package(Python COMPONENTS Interpreter)\n"
        f'include("{ROOT}/cmake/mujoco.cmake")\nmessage(STATUS "found in ${{MAMRL_MUJOCO_DIR}}")\n'
    )
    cmake = pytest.importorskip("cmake")
    done = subprocess.run(
        [Path(cmake.CMAKE_BIN_DIR) / "cmake", "-S", tmp_path, "-B", tmp_path / "build"],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(overlay.parent)},
        capture_output=True,
        text=True,
    )
    assert f"found in {overlay}" in done.stdout, done.stdout + done.stderr


def test_citation_has_the_version_and_repository_of_the_package():
    cited = dict(re.findall(r'^([\w-]+): "?(.*?)"?$', (ROOT / "CITATION.cff").read_text(), re.MULTILINE))
    project = PROJECT["project"]
    assert cited["version"] == project["version"]
    assert cited["repository-code"] == project["urls"]["Repository"]
    assert cited["license"] in (ROOT / "LICENSE").read_text()


def test_sources_are_installed_by_the_lines_that_make_wheel_tries():
    page = (ROOT / "docs/installing.md").read_text()
    lines = re.findall(r"^pip install '?\..*$", page, re.MULTILINE)
    assert len(lines) == 2
    assert any("mujoco" in line for line in lines)
    assert "documented-installs" in (ROOT / ".ci/wheel").read_text()
