"""Settings in the palette, each with its value. Choosing one changes it, where it has few values; else says where."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from medtui.console.palette.entries import Entry, EntryProvider
from medtui.settings import CHOICES, Described, describe_settings, settings_file


class SettingEntries(EntryProvider):
    async def load(self) -> Sequence[Entry]:
        return [self._entry(setting) for setting in describe_settings(self.context.settings)]

    def _entry(self, setting: Described) -> Entry:
        name = f"{setting.name}: {setting.value}"
        if setting.field is None:
            return Entry("setting", name, f"{setting.help} In {settings_file()}.", partial(self._say_where, setting))
        values = CHOICES[setting.field]
        now = values.index(getattr(self.context.settings, setting.field))
        chosen = values[(now + 1) % len(values)]
        shown = str(chosen).lower()
        words = f"{setting.help} Change it to {shown}."
        return Entry("setting", name, words, partial(self._choose, setting, chosen, shown))

    def _choose(self, setting: Described, value: object, shown: str) -> None:
        assert setting.field is not None
        self.context.choose_setting(setting.field, value)
        self.context.show_toast(f"{setting.name} is {shown} now, here and in the next console.")

    def _say_where(self, setting: Described) -> None:
        self.context.show_toast(f"{setting.name} is set in {settings_file()}; it takes effect at the next start.")
