"""What keys chose is remembered, whatever happens to the file and however many consoles there are."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import pytest

from medtui.preferences import Preferences, keep_setting, preferences_file, read_preferences, remember, with_chosen
from medtui.settings import NAMES, Settings, describe_settings


@pytest.fixture(autouse=True)
def settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config" / "settings.yaml"
    monkeypatch.setenv("MEDTUI_SETTINGS", str(path))
    return path


def kept(**choices: object) -> Preferences:
    preferences = Preferences()
    preferences.keep(**choices)
    preferences.close(10.0)
    return preferences


def test_two_consoles_lose_none_of_each_others_choices() -> None:
    first, second = Preferences(), Preferences()
    first.keep(live_axis="epoch")
    first.close(10.0)
    second.keep(results_sort="lr")
    second.close(10.0)
    first.keep(live_axis="time")
    first.close(10.0)
    assert read_preferences() == {"live_axis": "time", "results_sort": "lr"}


def _choose(name: str) -> None:
    for value in range(30):
        remember(**{name: value})


def test_consoles_that_write_at_the_same_moment_lose_nothing_either() -> None:
    names = [f"choice_{number}" for number in range(4)]
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_choose, args=(name,)) for name in names]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert read_preferences() == dict.fromkeys(names, 29)


def test_the_last_of_many_quick_choices_is_the_one_that_is_kept() -> None:
    preferences = Preferences()
    for number in range(200):
        preferences.keep(live_axis=number)
    preferences.close(10.0)
    assert read_preferences() == {"live_axis": 199} and preferences.get("live_axis") == 199


@pytest.mark.parametrize("text", ["{ damaged", "[1, 2]", "null", "", "[" * 5000, "\x00\xff"])
def test_a_damaged_file_is_none_and_is_replaced_by_the_next_choice(text: str) -> None:
    kept(live_axis="time")
    preferences_file().path.write_text(text, encoding="latin-1")
    assert read_preferences() == {} and Preferences().get("live_axis") is None
    kept(live_axis="epoch")
    assert read_preferences() == {"live_axis": "epoch"}


def test_where_nothing_can_be_written_choices_last_as_long_as_the_console(settings_file: Path) -> None:
    settings_file.parent.write_text("a file in the place of the folder")
    preferences = kept(live_axis="time")
    assert preferences.get("live_axis") == "time"
    assert Preferences().get("live_axis") is None


def test_a_link_in_the_place_of_the_file_is_not_followed(settings_file: Path, tmp_path: Path) -> None:
    settings_file.parent.mkdir()
    target = tmp_path / "other.json"
    target.write_text('{"live_axis": "time"}')
    os.symlink(target, preferences_file().path)  # noqa: PTH211
    assert read_preferences() == {}
    kept(live_axis="epoch")
    assert json.loads(target.read_text()) == {"live_axis": "time"}


def test_a_setting_that_a_key_chose_counts_until_the_settings_file_says_something_else() -> None:
    preferences, dark = Preferences(), Settings()
    keep_setting(preferences, "theme", given="dark", chosen="light")
    preferences.close(10.0)
    assert with_chosen(dark, Preferences()).theme == "light"
    assert with_chosen(Settings(theme="light"), Preferences()).theme == "light"
    keep_setting(preferences, "theme", given="light", chosen="dark")  # chosen against a file that says light
    preferences.close(10.0)
    assert with_chosen(dark, Preferences()).theme == "dark"
    assert with_chosen(Settings(theme="light"), Preferences()).theme == "dark"


@pytest.mark.parametrize("value", ["pink", 3, None, [], {"given": "dark"}, {"given": "dark", "chosen": "pink"}])
def test_a_remembered_setting_that_makes_no_sense_is_ignored(value: object) -> None:
    kept(setting_theme=value, setting_bell={"given": True, "chosen": 0})
    assert with_chosen(Settings(), Preferences()) == Settings()


def test_every_setting_of_the_file_is_described() -> None:
    assert {described.name.split(".")[0] for described in describe_settings(Settings())} == set(NAMES)
