"""The stranger's path, in this environment; .ci/wheel walks it in a clean one."""

import pytest

import strangers_path


@pytest.mark.slow
def test_it_can_be_walked(tmp_path, capsys):
    strangers_path.main(tmp_path)
    printed = capsys.readouterr().out
    assert "AUC over 5 seeds" in printed
    assert "as it should" in printed
    assert (tmp_path / "figure.png").is_file()
