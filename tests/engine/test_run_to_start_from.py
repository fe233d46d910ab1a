"""Which run `training.init_from` means, and whose fault it is that there is none."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from engine.contract.store.find_run import find_run
from engine.contract.wire.errors import RecipeError
from engine.run.init_from import find_source


def test_a_name_of_no_run_is_a_wrong_value_of_the_recipe_and_not_missing_data(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"training\.init_from: ") as refused:
        find_source("nobody", partial(find_run, tmp_path), resumed=None, recorded=None)
    assert refused.value.exit_code == 2
