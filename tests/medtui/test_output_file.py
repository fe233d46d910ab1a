"""What a command writes because its user named it never replaces a device, a link, or what the command reads."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest
from driving import json_lines, medtui

from engine.contract.wire.errors import OutputError, UsageError
from medtui.cli.recipe import init
from medtui.client.inputs import Inputs
from medtui.client.output_file import check_ending, check_output, export_folder
from medtui.sentences import OutputFile


def refusal(path: Path, *, force: bool = True, **more: object) -> str | None:
    try:
        check_output(path, force=force, **more)  # type: ignore[arg-type]
    except OutputError as error:
        return error.code
    return None


def test_only_a_regular_file_is_replaced_and_only_on_request(tmp_path: Path) -> None:
    mine = tmp_path / "mine.csv"
    assert refusal(mine, force=False) is None, "nothing is there"
    mine.write_text("mine")
    assert refusal(mine, force=False) == OutputFile.EXISTS.code
    assert refusal(mine) is None
    assert refusal(tmp_path / "nowhere" / "new.csv") == OutputFile.NO_FOLDER.code


@pytest.mark.parametrize("kind", ["pipe", "folder", "link to a file", "link to nothing", "device"])
def test_anything_else_stays_also_with_force(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "out"
    (tmp_path / "other").write_text("other")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind.startswith("link"):
        path.symlink_to(tmp_path / ("other" if kind == "link to a file" else "gone"))
    else:
        path = Path("/dev/null")
    assert refusal(path) == OutputFile.NO_FILE.code
    assert (tmp_path / "other").read_text() == "other"


def test_no_command_replaces_what_it_reads_by_whatever_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "table.csv"
    table.write_text("file,label\n")
    (tmp_path / "alias").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in (table, Path("table.csv"), tmp_path / "alias" / "table.csv"):
        assert refusal(name, inputs=Inputs([str(tmp_path), str(table)])) == OutputFile.INPUT.code


@pytest.mark.parametrize(
    ("words", "victim"),
    [
        (("data", "explore", "table.csv", "--html", "table.csv", "--force"), "table.csv"),
        (("data", "explore", "cells", "--html", "page.html"), "page.html"),
        (("data", "synth", "breastmnist", "--limit", "4", "-o", "new.npz"), "new.card.json"),
        (("data", "synth", "breastmnist", "--limit", "4", "-o", "pipe.npz", "--force"), "pipe.npz"),
        (("data", "export", "cells", "-o", "pipe.npz", "--force"), "pipe.npz"),
        (("data", "export", "cells", "-o", "link.npz", "--force"), "link.npz"),
        (("data", "synth", "breastmnist", "--limit", "4", "-o", "/", "--force"), "/"),
        (("data", "export", "cells", "-o", ".", "--force"), "."),
        (("data", "explore", "cells", "--html", "link.npz", "--force"), "link.npz"),
    ],
    ids=" ".join,
)
def test_a_refused_output_is_one_sentence_and_nothing_changes(
    words: tuple[str, ...], victim: str, tmp_path: Path
) -> None:
    (tmp_path / "README.md").touch()
    (tmp_path / "table.csv").write_text("file,label\na.png,1\n")
    for name in ("page.html", "new.card.json"):
        (tmp_path / name).write_text("mine")
    os.mkfifo(tmp_path / "pipe.npz")
    (tmp_path / "link.npz").symlink_to("page.html")
    before = (tmp_path / victim).lstat()
    done = medtui(*words, "--json", cwd=tmp_path)
    error = json_lines(done.stdout)[-1]["error"]
    assert (done.returncode, error["kind"]) == (2, "outputs"), done.stdout
    assert victim in error["message"]
    after = (tmp_path / victim).lstat()
    assert (after.st_ino, after.st_size, stat.S_IFMT(after.st_mode)) == (
        before.st_ino, before.st_size, stat.S_IFMT(before.st_mode),
    )  # fmt: skip


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two class folders, a table at their side, and what passes for a model."""
    for name in ("ant/i01", "ant/i02", "bee/i03"):
        (tmp_path / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "own" / f"{name}.png").write_text("a picture")
    (tmp_path / "t.csv").write_text("file,label\nown/ant/i01.png,ant\nown\\bee\\i03,bee\n")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.json").write_text("{}")
    (tmp_path / "model" / "best.safetensors").write_text("weights")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "own"


@pytest.mark.parametrize("words", ["own", "own/ant/*.png", "own/**/*.png", "o*", "t.csv", "own/ant/i01.png", "t.*"])
def test_no_picture_that_a_folder_a_pattern_or_a_table_leads_to_is_replaced(words: str, pictures: Path) -> None:
    (pictures.parent / "second name").hardlink_to(pictures / "ant" / "i01.png")
    (pictures.parent / "alias").symlink_to(pictures)
    for name in ("own/ant/i01.png", "own/bee/../ant/i01.png", "alias/ant/i01.png", "second name"):
        assert refusal(Path(name), inputs=Inputs([words])) == OutputFile.INPUT.code, name
    assert refusal(Path("own/ant/new.csv"), inputs=Inputs([words])) is None, "a new file replaces nothing"


def test_an_earlier_table_or_page_next_to_the_pictures_may_be_replaced(pictures: Path) -> None:
    for name in ("own/predictions.csv", "own/ant/page.html"):
        (pictures.parent / name).write_text("of an earlier command")
        assert refusal(Path(name), inputs=Inputs(["own"])) is None, name
        assert refusal(Path(name), force=False, inputs=Inputs(["own"])) == OutputFile.EXISTS.code


def test_a_picture_whose_ending_a_table_leaves_out_is_not_replaced(pictures: Path) -> None:
    for root, table in ((None, "own/../t.csv"), (pictures.parent, "elsewhere.csv")):
        (pictures.parent / "elsewhere.csv").write_text("file\nown/bee/i03\n")
        assert refusal(Path("own/bee/i03.png"), inputs=Inputs([table], root)) == OutputFile.INPUT.code
    assert refusal(Path("own/ant/i02.png"), inputs=Inputs(["t.csv"])) == OutputFile.PICTURE.code, "of no row"


def test_a_picture_is_replaced_by_pictures_only(pictures: Path) -> None:
    for force in (True, False):
        assert refusal(pictures / "ant" / "i01.png", force=force) == OutputFile.PICTURE.code
    assert refusal(pictures / "ant" / "i01.png", is_picture=True) is None


@pytest.mark.parametrize(
    ("words", "victim"),
    [
        (("predict", "model", "own", "-o"), "own/bee/i03.png"),
        (("predict", "model", "own/ant/*.png", "-o"), "own/ant/i02.png"),
        (("predict", "model", "t.csv", "-o"), "own/ant/i01.png"),
        (("predict", "model", "t.csv", "-o"), "model/best.safetensors"),
        (("data", "export", "own", "-o"), "own/bee/i03.png"),
        (("data", "export", "t.csv", "-o"), "own/bee/i03.png"),
        (("data", "explore", "own", "--html"), "own/bee/i03.png"),
        (("data", "explore", "bees.yaml", "--html"), "bees.yaml"),
    ],
    ids=str,
)
def test_each_command_says_that_it_reads_the_picture(words: tuple[str, ...], victim: str, pictures: Path) -> None:
    (pictures.parent / "bees.yaml").write_text("dataset:\n  folder: own\n")
    before = {path: path.read_bytes() for path in pictures.parent.rglob("*") if path.is_file()}
    done = medtui(*words, victim, "--force", cwd=pictures.parent)
    assert done.returncode == 2, done.stderr
    assert f"{victim} is read by this command, so it is not replaced." in " ".join(done.stderr.split()), done.stderr
    assert {path: path.read_bytes() for path in pictures.parent.rglob("*") if path.is_file()} == before


def test_an_import_says_that_it_reads_the_archive_it_would_replace(pictures: Path) -> None:
    (pictures.parent / "mine.npz").write_text("arrays")
    done = medtui("data", "import", "mine.npz", "--data", ".", "--force", cwd=pictures.parent)
    assert done.returncode == 2 and "is read by this command" in done.stderr, done.stderr
    assert (pictures.parent / "mine.npz").read_text() == "arrays"


@pytest.mark.parametrize(
    "words",
    [
        ("predict", "last", "own", "-o", ""),
        ("predict", "last", "own", "--root", ""),
        ("data", "export", "cells", "-o", ""),
        ("data", "explore", "cells", "--html", ""),
        ("runs", "--workspace", ""),
        ("--data", "", "data", "list"),
        ("suite", "table", "-o", ""),
        ("recipe", "init", ""),
        ("score", ""),
    ],
    ids=" ".join,
)
def test_an_empty_path_says_that_it_is_empty(words: tuple[str, ...], tmp_path: Path) -> None:
    done = medtui(*words, cwd=tmp_path)
    assert (done.returncode, "Expected a path, found an empty name." in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("words", "endings"),
    [
        (("data", "synth", "breastmnist", "-o", "x"), ".npz"),
        (("data", "export", "cells", "-o", "x.csv"), ".npz"),
        (("data", "explore", "cells", "--html", "x.csv"), ".html or .htm"),
        (("suite", "table", "-o", "x.docx"), ".csv, .md, .tex, .xlsx or .txt"),
        (("suite", "table", "-o", "x.png"), ".csv, .md, .tex, .xlsx or .txt"),
    ],
    ids=str,
)
def test_an_ending_that_a_command_does_not_write_says_which_it_writes(
    words: tuple[str, ...], endings: str, tmp_path: Path
) -> None:
    done = medtui(*words, cwd=tmp_path)
    sentence = f"Expected a name that ends in {endings}, found {words[-1]}."
    assert (done.returncode, sentence in done.stderr) == (2, True), done.stderr
    assert not list(tmp_path.glob("x*"))


def test_an_ending_counts_in_capitals_and_may_be_missing_where_the_command_says_so(tmp_path: Path) -> None:
    check_ending(tmp_path / "x.CSV", (".csv", ""))
    check_ending(tmp_path / "x", (".csv", ""))
    with pytest.raises(OutputError):
        check_ending(tmp_path / "x", (".csv",))


def test_a_recipe_that_does_not_fit_on_the_disk_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("engine.contract.files.folders.append_all", full)
    with pytest.raises(OutputError, match="No space left"):
        init(tmp_path / "new.yaml", "quickstart")
    assert not (tmp_path / "new.yaml").exists()
    monkeypatch.undo()
    init(tmp_path / "new.yaml", "quickstart")
    assert "model" in (tmp_path / "new.yaml").read_text()
    with pytest.raises(UsageError, match="already exists"):
        init(tmp_path / "new.yaml", "quickstart")


def test_a_dash_says_that_it_names_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert refusal(Path("-")) == OutputFile.STANDARD_OUTPUT.code
    for write in (export_folder, lambda path: init(path, "quickstart")):
        with pytest.raises(OutputError, match="found `-`"):
            write(Path("-"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "more", "endings"),
    [
        ("x.json", (), ".csv or .txt"),
        ("x.xlsx", (), ".csv or .txt"),
        ("x.csv", ("--json",), ".jsonl, .ndjson, .json or .txt"),
    ],
)
def test_predictions_under_a_name_of_another_kind_say_what_is_written(
    name: str, more: tuple[str, ...], endings: str, pictures: Path
) -> None:
    done = medtui("predict", "model", "own", "-o", name, *more, cwd=pictures.parent)
    assert done.returncode == 2 and f"Expected a name that ends in {endings}, found {name}." in done.stderr, done.stderr
    assert not (pictures.parent / name).exists()
