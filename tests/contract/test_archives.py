"""Where data files are searched for, where they go, and where they are fetched from."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest

from engine.contract.data.archives import address, data_folders, fetch_folder, given_folder, offline, unreadable_folders
from engine.contract.wire.errors import UsageError
from engine.contract.wire.text import format_bytes

OFFICIAL = "https://zenodo.org/records/1/files/a.npz?download=1"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MEDTUI_DATA", raising=False)
    monkeypatch.delenv("MEDTUI_MIRROR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_files_are_searched_where_the_user_says_then_in_the_workspace_then_where_medmnist_puts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = [Path("/study/dataset"), tmp_path / ".medmnist"]
    assert data_folders([], Path("/study")) == usual
    assert data_folders(["/one", "~/two"], Path("/study")) == [Path("/one"), tmp_path / "two", *usual]
    monkeypatch.setenv("MEDTUI_DATA", "/three")
    assert data_folders(["/one"], Path("/study")) == [Path("/one"), Path("/three"), *usual]


def test_a_fetched_file_goes_to_the_first_of_these(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fetch_folder([]) == tmp_path / ".medmnist"
    monkeypatch.setenv("MEDTUI_DATA", "/three")
    assert fetch_folder([]) == Path("/three")
    assert fetch_folder(["~/one", "/two"]) == tmp_path / "one"


def test_a_folder_that_is_given_must_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    assert given_folder(Path("data")) == given_folder(Path("~/data")) == tmp_path / "data"
    for wrong in ("file", "nothing"):
        with pytest.raises(UsageError, match=wrong):
            given_folder(Path(wrong))


@pytest.mark.parametrize(
    ("mirror", "url", "login"),
    [
        ("", OFFICIAL, None),
        ("  ", OFFICIAL, None),
        ("http://host", "http://host/a.npz", None),
        ("https://host:8443/folder/", "https://host:8443/folder/a.npz", None),
        ("http://[::1]:80/x", "http://[::1]:80/x/a.npz", None),
        ("https://host/x?token=t", "https://host/x/a.npz?token=t", None),
        ("https://ada@host/", "https://host/a.npz", "ada:"),
        ("https://ada:p%40ss%3Aword@host/", "https://host/a.npz", "ada:p@ss:word"),
    ],
)
def test_a_mirror_has_the_files_under_their_names(
    mirror: str, url: str, login: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """User and password become HTTP's basic authentication (RFC 7617), and are in no text."""
    monkeypatch.setenv("MEDTUI_MIRROR", mirror)
    found = address(OFFICIAL, "a.npz")
    assert found.url == url
    expected = None if login is None else f"Basic {b64encode(login.encode()).decode()}"
    assert found.authorization == expected
    shown = f"{found} {found!r}"
    assert not any(secret in shown for secret in ("ada", "p@ss", "token", "Basic", "download"))
    assert str(found) == url.partition("?")[0]


@pytest.mark.parametrize(
    "mirror",
    ["ftp://host/x", "host/x", "/folder", "http://", "http:///x", "http://host:port/", "http://[::1", "http://h/\x07"],
)
def test_what_is_no_mirror_is_refused_without_being_quoted(mirror: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDTUI_MIRROR", mirror)
    with pytest.raises(UsageError, match="MEDTUI_MIRROR") as error:
        address(OFFICIAL, "a.npz")
    assert mirror not in error.value.message


@pytest.mark.parametrize(
    ("value", "expected"),
    [("", False), ("0", False), ("No", False), (" off ", False), ("false", False), ("1", True), ("yes", True)],
)
def test_whether_fetching_is_forbidden(value: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDTUI_OFFLINE", value)
    assert offline() is expected


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1e3, "1 kB"),
        (559_580, "560 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (9.99e6, "10.0 MB"),
        (1e7, "10 MB"),
        (252e6, "252 MB"),
        (1e9, "1.0 GB"),
        (12.6e9, "12.6 GB"),
    ],
)
def test_a_size_says_its_decimal_unit_and_is_never_zero_of_a_large_one(size: float, shown: str) -> None:
    assert format_bytes(size) == shown


def test_a_broken_link_in_the_place_of_a_file_is_told_and_a_missing_file_is_not(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("has it", "lacks it", "broken", "missing")]
    for folder in folders[:3]:
        folder.mkdir()
    (folders[0] / "a.npz").touch()
    (folders[2] / "a.npz").symlink_to("nowhere")
    assert list(unreadable_folders(folders, "a.npz")) == [folders[2]]
    assert unreadable_folders(folders) == {}
