"""A file of settings that is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from medtui.settings import Settings, read_settings


def test_a_folder_in_the_place_of_the_settings_is_told_in_words_about_settings(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.mkdir()
    (warning,) = read_settings(path).warnings
    assert str(path) in warning
    assert "found a folder" in warning
    assert "recipe" not in warning


def test_what_are_no_settings_is_told_in_words_about_settings(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("- dark\n")
    (warning,) = read_settings(path).warnings
    assert "theme: dark" in warning
    assert "a list" in warning
    assert "recipe" not in warning


@pytest.mark.parametrize("text", ["", "# nothing yet\n"])
def test_an_empty_file_sets_nothing_and_is_no_fault(tmp_path: Path, text: str) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    assert read_settings(path) == Settings()
