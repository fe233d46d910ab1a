"""Fetching official data: by `medtui run` when the file is missing, and by `medtui data`."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from driving import MEDTUI, PATIENCE, Engine, json_lines, medtui, tiny
from serving import Mirror, Serve, a_web_page, complete, cut_after, silent_after

from medtui.sentences import DataFiles

MD5 = "750601b1f35ba3300ea97c75c52ff8f6"  # of breastmnist.npz, as medmnist publishes it
OFFICIAL = "https://zenodo.org/records/10519652/files/breastmnist.npz"  # likewise
RECIPE = tiny(dataset={"name": "breastmnist"}, training={"epochs": 1})


@pytest.fixture
def mirror(real_data: Path) -> Iterator[Mirror]:
    with Mirror({"breastmnist.npz": (real_data / "breastmnist.npz").read_bytes()}) as mirror:
        yield mirror


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    (tmp_path / "recipe.yaml").write_text(json.dumps(RECIPE))
    return tmp_path / "home"


def environment(mirror: Mirror, home: Path) -> dict[str, str]:
    return mirror.environment | {"HOME": str(home), "MEDTUI_CACHE": str(home / "cache")}


def left(folder: Path) -> list[str]:
    """Every file of a data folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


# ---- medtui run ------------------------------------------------------------------------------------------------------


def test_a_missing_set_is_fetched_verified_and_the_run_starts(mirror: Mirror, home: Path, tmp_path: Path) -> None:
    done = medtui("run", "recipe.yaml", "--json", cwd=tmp_path, environment=environment(mirror, home))
    assert done.returncode == 0, done.stderr
    events = json_lines(done.stdout)
    names = [event["event"] for event in events]
    fetched = [e for e in events if e["event"] == "progress" and e["activity"] == "fetching breastmnist.npz"]
    assert fetched and fetched[-1]["phase"] == "preparing" and fetched[-1]["unit"] == "bytes"
    assert fetched[-1]["done"] == fetched[-1]["total"] == len(mirror.files["breastmnist.npz"])
    assert names.index("progress") < names.index("run.started")
    words = " ".join(event["message"] for event in events if event["event"] == "log")
    assert f"{mirror.address}/breastmnist.npz" in words and "560 kB" in words and "MD5 ok" in words
    assert left(home / ".medmnist") == ["breastmnist.npz"]
    manifest = json.loads((Path(events[-1]["run_dir"]) / "manifest.json").read_text())
    assert manifest["data"]["md5"] == MD5
    assert len(mirror.asked) == 1


def test_evaluating_and_scoring_fetch_what_is_missing_too(
    mirror: Mirror, home: Path, real_data: Path, tmp_path: Path
) -> None:
    own = environment(mirror, home)
    assert medtui("run", "recipe.yaml", cwd=tmp_path, environment=own).returncode == 0
    file = home / ".medmnist" / "breastmnist.npz"
    (scores,) = (real_data / "golden").glob("breastmnist_test_*.csv")
    for number, command in enumerate((("evaluate", "last"), ("score", str(scores))), 2):
        file.unlink()
        refused = medtui(*command, "--offline", cwd=tmp_path, environment=own)
        assert refused.returncode == 4 and MD5 in refused.stderr and not file.exists()
        done = medtui(*command, cwd=tmp_path, environment=own)
        assert done.returncode == 0, done.stderr
        assert "Fetching breastmnist.npz" in done.stderr and "AUC" in done.stdout
        assert file.read_bytes() == mirror.files["breastmnist.npz"] and len(mirror.asked) == number


@pytest.mark.parametrize("how", ["--offline", "MEDTUI_OFFLINE"])
def test_offline_nothing_is_fetched_and_the_error_names_what_to_fetch(
    mirror: Mirror, home: Path, tmp_path: Path, how: str
) -> None:
    flags = ["--offline"] if how == "--offline" else []
    variables = environment(mirror, home) if flags else {"HOME": str(home), "MEDTUI_OFFLINE": "1"}
    done = medtui("run", "recipe.yaml", *flags, cwd=tmp_path, environment=variables)
    assert done.returncode == 4
    for part in (OFFICIAL, MD5, str(home / ".medmnist"), "medtui data fetch breastmnist"):
        assert part in done.stdout + done.stderr
    assert mirror.asked == []


BAD: dict[str, tuple[Serve, str]] = {
    "a wrong MD5": (lambda asked, content: complete(asked, content[:-1] + b"?"), MD5),
    "a cut connection": (cut_after(1000), "cut after 4,000 of 559,580 bytes"),
    "an error": (lambda asked, content: asked.send_error(503), "503"),
    "a web page": (a_web_page, "a web page"),
    "more than it can be": (lambda asked, content: complete(asked, content + bytes(10**6)), "at most"),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.everyday("a wrong MD5", "a web page")
def test_a_damaged_download_leaves_nothing_and_ends_with_exit_code_4(
    mirror: Mirror, home: Path, tmp_path: Path, what: str
) -> None:
    mirror.serve, said = BAD[what]
    done = medtui("data", "fetch", "breastmnist", cwd=tmp_path, environment=environment(mirror, home))
    assert done.returncode == 4, done.stderr
    assert said in done.stderr and "Traceback" not in done.stderr
    (sentence,) = done.stderr.splitlines()
    for part in (f"{mirror.address}/breastmnist.npz", OFFICIAL, MD5, str(home / ".medmnist")):
        assert part in sentence  # to fetch by hand
    assert left(home / ".medmnist") == []


def test_abort_while_fetching_ends_the_run_at_once_and_keeps_nothing(
    mirror: Mirror, home: Path, tmp_path: Path
) -> None:
    mirror.serve = silent_after(1000)
    engine = Engine(tmp_path, environment=environment(mirror, home))
    try:
        engine.train(RECIPE)
        engine.wait_for(lambda e: e["event"] == "progress" and e["unit"] == "bytes" and e["done"])
        engine.send("abort", id="end")
        assert engine.answer("end")["event"] == "command.accepted"
        finished = engine.wait_for_event("run.finished")
        assert (finished["outcome"], finished["exit_code"], finished["run_dir"]) == ("aborted", 7, None)
        assert engine.end() == 7
        assert finished["time"] - engine.answer("end")["time"] < 5
    finally:
        engine.kill()
    assert left(home / ".medmnist") == []
    assert [path.name for path in (tmp_path / "outputs").iterdir()] == [".medtui.lock"]


@pytest.mark.slow
def test_required_weights_that_cannot_be_fetched_end_the_run_with_exit_code_4(
    mirror: Mirror, home: Path, tmp_path: Path
) -> None:
    settings = ("--set", "dataset.name=cells", "--set", "model.name=resnet18", "--set", "model.pretrained=true")
    variables = environment(mirror, home) | {"TORCH_HOME": str(home / "torch")}
    done = medtui("run", "recipe.yaml", *settings, cwd=tmp_path, environment=variables)
    assert done.returncode == 4, done.stderr
    assert f"{mirror.address}/resnet18-f37072fd.pth: 127.0.0.1 answered 404" in done.stdout + done.stderr
    assert left(home / "torch" / "hub" / "checkpoints") == []


# ---- medtui data -----------------------------------------------------------------------------------------------------


def test_data_fetch_fetches_to_the_requested_folder_and_once(mirror: Mirror, home: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    command = ("data", "fetch", "breastmnist", "--data", "mine")
    done = medtui(*command, cwd=tmp_path, environment=environment(mirror, home))
    assert done.returncode == 0, done.stderr
    assert left(tmp_path / "mine") == ["breastmnist.npz"] and left(home) == ["cache"]
    again = medtui(*command, "--json", cwd=tmp_path, environment={"HOME": str(home), "MEDTUI_OFFLINE": "1"})
    values = json.loads(again.stdout)
    assert (values["path"], values["state"]) == (str(tmp_path / "mine" / "breastmnist.npz"), "official")
    assert len(mirror.asked) == 1


def test_data_fetch_replaces_an_unofficial_file_only_with_replace(mirror: Mirror, home: Path, tmp_path: Path) -> None:
    (home / ".medmnist").mkdir()
    file = home / ".medmnist" / "breastmnist.npz"
    file.write_bytes(b"mine")
    done = medtui("data", "fetch", "breastmnist", cwd=tmp_path, environment=environment(mirror, home))
    assert (done.returncode, file.read_bytes()) == (4, b"mine")
    assert "medtui data fetch breastmnist --replace" in done.stderr
    done = medtui("data", "fetch", "breastmnist", "--replace", cwd=tmp_path, environment=environment(mirror, home))
    assert (done.returncode, file.read_bytes()) == (0, mirror.files["breastmnist.npz"])


@pytest.mark.parametrize("how", ["MEDTUI_OFFLINE", "--offline before", "--offline after"])
def test_data_fetch_offline_says_which_file_to_put_where(mirror: Mirror, home: Path, tmp_path: Path, how: str) -> None:
    variables = {"MEDTUI_OFFLINE": "1" if how == "MEDTUI_OFFLINE" else ""}
    before, after = ["--offline"] * how.endswith("before"), ["--offline"] * how.endswith("after")
    own = environment(mirror, home) | variables
    done = medtui(*before, "data", "fetch", "breastmnist", *after, cwd=tmp_path, environment=own)
    assert (done.returncode, mirror.asked) == (4, [])
    for part in ("Offline, nothing is fetched.", OFFICIAL, MD5, str(home / ".medmnist")):
        assert part in done.stderr


@pytest.mark.parametrize("command", [("data", "info", "breastmnist"), ("doctor",)], ids=" ".join)
def test_offline_before_a_command_without_the_option_says_what_the_variable_says(
    mirror: Mirror, home: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    own = environment(mirror, home) | {"TORCH_HOME": str(home)}
    orders = [("--offline", *command), *([("doctor", "--offline")] * (command == ("doctor",)))]
    for one in orders:
        assert "fetched offline" in medtui(*one, cwd=tmp_path, environment=own).stdout
    assert "fetched offline" not in medtui(*command, cwd=tmp_path, environment=own).stdout


@pytest.mark.parametrize("arguments", [("breastmist",), ("cells",), ("breastmnist", "--size", "32")], ids=" ".join)
def test_data_fetch_of_an_unknown_data_set_is_a_usage_error(
    mirror: Mirror, home: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    done = medtui("data", "fetch", *arguments, "--json", cwd=tmp_path, environment=environment(mirror, home))
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["kind"] == "usage"


@pytest.mark.parametrize("command", ["fetch", "verify"])
def test_a_data_set_that_is_generated_needs_no_file(command: str, home: Path, tmp_path: Path) -> None:
    done = medtui("data", command, "cells", "--json", cwd=tmp_path, environment={"HOME": str(home)})
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["code"]) == (2, DataFiles.GENERATED.code)
    assert "cells is generated and needs no file" in done.stderr


def test_ctrl_c_ends_data_fetch_keeps_nothing_and_says_so(mirror: Mirror, home: Path, tmp_path: Path) -> None:
    mirror.serve = silent_after(1000)
    process = subprocess.Popen(
        [*MEDTUI, "data", "fetch", "breastmnist"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment(mirror, home)},
    )
    try:
        assert process.stdout is not None
        assert "Fetching breastmnist.npz" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
    finally:
        process.kill()
        said = process.communicate()[1]
    assert said.strip() == "medtui: Interrupted: nothing was written."
    assert left(home / ".medmnist") == []


def test_data_list_shows_local_files_their_paths_and_whether_they_are_verified(
    home: Path, tmp_path: Path, real_data: Path
) -> None:
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "retinamnist_64.npz").write_bytes(b"damaged")
    command = ("data", "list", "--data", real_data)
    done = medtui(*command, cwd=tmp_path, environment={"HOME": str(home)})
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line}
    assert "generated" in rows["cells"] and "✓" in rows["breastmnist"] and "✗" in rows["retinamnist"]
    assert "16.1 GB" in rows["pathmnist"]  # 107,180 images of 224 × 224 × 3 bytes
    assert str((real_data / "breastmnist.npz").resolve()) in done.stdout
    listed = {entry["name"]: entry for entry in json.loads(medtui(*command, "--json", cwd=tmp_path).stdout)}
    assert len(listed) == 13
    assert [file["state"] for file in listed["breastmnist"]["files"]] == ["official"] + ["missing"] * 3
    assert [file["state"] for file in listed["retinamnist"]["files"]][1] == "damaged"


def test_data_verify_reads_again_and_names_what_is_damaged(home: Path, tmp_path: Path, real_data: Path) -> None:
    variables = {"HOME": str(home), "MEDTUI_CACHE": str(home / "cache")}
    folder = tmp_path / "dataset"
    folder.mkdir()
    content = (real_data / "breastmnist.npz").read_bytes()
    file = folder / "breastmnist.npz"
    file.write_bytes(content)
    done = medtui("data", "verify", "breastmnist", cwd=tmp_path, environment=variables)
    assert done.returncode == 0, done.stderr
    assert "MD5 and structure ok" in done.stdout
    before = file.stat()
    with file.open("r+b") as rotten:  # bit rot: neither size nor time tell of it
        rotten.seek(1000)
        rotten.write(bytes([content[1000] ^ 1]))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    done = medtui("data", "verify", "--json", cwd=tmp_path, environment=variables)
    assert done.returncode == 4
    (found,) = json.loads(done.stdout)
    assert (
        found["state"] == "damaged" and MD5 in found["error"] and "data fetch breastmnist --replace" in found["error"]
    )


def test_data_verify_checks_the_decoded_copy_too_and_removes_a_damaged_one(
    home: Path, tmp_path: Path, real_data: Path
) -> None:
    own = {"HOME": str(home), "MEDTUI_CACHE": str(home / "cache")}
    assert medtui("run", "recipe.yaml", "--data", real_data, cwd=tmp_path, environment=own).returncode == 0
    command = ("data", "verify", "breastmnist", "--data", real_data)
    assert "decoded copy ok" in medtui(*command, cwd=tmp_path, environment=own).stdout
    (array,) = (home / "cache" / "arrays").glob("*/test_images.npy")
    with array.open("r+b") as rotten:
        rotten.seek(1000)
        byte = rotten.read(1)
        rotten.seek(1000)
        rotten.write(bytes([byte[0] ^ 1]))
    done = medtui(*command, cwd=tmp_path, environment=own)
    assert done.returncode == 4
    assert "test_images" in done.stderr and "removed" in done.stderr and not array.exists()
    assert medtui("run", "recipe.yaml", "--data", real_data, cwd=tmp_path, environment=own).returncode == 0
    assert medtui(*command, cwd=tmp_path, environment=own).returncode == 0


SECRETS = ("p@ss:w/rd", "p%40ss%3Aw%2Frd", "t0ken", base64.b64encode(b"ada:p@ss:w/rd").decode())


def test_a_mirror_s_password_and_token_fetch_the_file_and_are_shown_and_kept_nowhere(
    mirror: Mirror, home: Path, tmp_path: Path
) -> None:
    seen: list[tuple[str, str | None]] = []

    def serve(asked, content: bytes) -> None:
        seen.append((asked.path, asked.headers["Authorization"]))
        complete(asked, content)

    mirror.serve = serve
    address = mirror.address.replace("http://", "http://ada:p%40ss%3Aw%2Frd@") + "/?token=t0ken"
    own = environment(mirror, home) | {"MEDTUI_MIRROR": address}
    done = medtui("run", "recipe.yaml", "--json", cwd=tmp_path, environment=own)
    assert done.returncode == 0, done.stderr
    assert seen == [("/breastmnist.npz?token=t0ken", f"Basic {SECRETS[-1]}")]
    kept = [path for folder in (tmp_path / "outputs", home) for path in folder.rglob("*") if path.is_file()]
    assert len(kept) > 10
    texts = [done.stdout, done.stderr, *(path.read_bytes().decode(errors="replace") for path in kept)]
    assert not [secret for secret in SECRETS for text in texts if secret in text]
    assert "127.0.0.1" in done.stdout


@pytest.mark.parametrize(
    "address",
    [
        "ftp://ada:t0ken@127.0.0.1/",
        "ada:t0ken@127.0.0.1",
        "http://ada:t0ken/x@127.0.0.1/",
        "http://ada:t0ken#@127.0.0.1/",
        "http://127.0.0.1:1/a b?token=t0ken",
        "http://ada:t0ken@127.0.0.1:1/?token=t0ken",
        "t0ken",
    ],
)
def test_an_address_that_does_not_work_does_not_show_them_either(address: str, home: Path, tmp_path: Path) -> None:
    variables = {"HOME": str(home), "MEDTUI_OFFLINE": "", "MEDTUI_MIRROR": address, "no_proxy": "127.0.0.1"}
    done = medtui("data", "fetch", "breastmnist", "--json", cwd=tmp_path, environment=variables)
    assert done.returncode in (2, 4) and done.stderr
    assert "t0ken" not in done.stdout + done.stderr
