"""Downloads: whole and verified, or nothing; whatever the server, the network or the disk does."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections import namedtuple
from pathlib import Path

import pytest
from serving import Mirror, Serve, a_web_page, cut_after, of_unknown_length, silent_after, whole

from engine import download as module
from engine.download import Download, DownloadFailed, download

CONTENT = bytes(range(256)) * 4000  # 1 MB
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def wanted(mirror: Mirror, folder: Path, **changes: object) -> Download:
    values = {"url": f"{mirror.address}/data.npz", "target": folder / "data.npz", "algorithm": "md5", "digest": MD5}
    return Download(**{**values, "largest": 2_000_000, **changes})  # type: ignore[arg-type]


def nothing(done: int, total: int | None) -> None:
    pass


def refused(mirror: Mirror, folder: Path, **changes: object) -> str:
    """Why it failed; it left nothing."""
    with pytest.raises(DownloadFailed) as failed:
        download(wanted(mirror, folder, **changes), nothing, print)
    assert list(folder.iterdir()) == []
    return str(failed.value)


@pytest.mark.parametrize("serve", [whole, of_unknown_length], ids=lambda serve: serve.__name__)
def test_a_file_is_fetched_whole_and_nothing_else_is_left(tmp_path: Path, serve: Serve) -> None:
    told: list[tuple[int, int | None]] = []
    with Mirror({"data.npz": CONTENT}, serve) as mirror:
        download(wanted(mirror, tmp_path / "new" / "folder"), lambda *at: told.append(at), print)
        assert mirror.asked == [("data.npz", None)]
    folder = tmp_path / "new" / "folder"
    assert [path.name for path in folder.iterdir()] == ["data.npz"]
    assert (folder / "data.npz").read_bytes() == CONTENT
    assert told == sorted(told, key=lambda at: at[0])


def test_a_redirect_is_followed(tmp_path: Path) -> None:
    def elsewhere(asked, content: bytes) -> None:
        if asked.path == "/data.npz":
            asked.send_response(302)
            asked.send_header("Location", "/other.npz")
            asked.end_headers()
        else:
            whole(asked, content)

    with Mirror({"data.npz": b"", "other.npz": CONTENT}, elsewhere) as mirror:
        download(wanted(mirror, tmp_path), nothing, print)
    assert (tmp_path / "data.npz").read_bytes() == CONTENT


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Of 127.0.0.1, with its key, signed by nobody else."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl, to make a certificate")
    path, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = [openssl, "req", "-x509", *kind, *names, "-keyout", str(key), "-out", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text() + key.read_text())
    return path


def test_https_is_spoken_with_hosts_whose_certificate_is_trusted_and_with_no_others(
    tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    folder = tmp_path / "data"
    with Mirror({"data.npz": CONTENT}) as mirror:
        mirror.socket = context.wrap_socket(mirror.socket, server_side=True)
        url = mirror.address.replace("http:", "https:") + "/data.npz"
        with pytest.raises(DownloadFailed, match=r"certificate of 127\.0\.0\.1 is not trusted"):
            download(wanted(mirror, folder, url=url), nothing, print)
        assert list(folder.iterdir()) == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        download(wanted(mirror, folder, url=url), nothing, print)
    assert (folder / "data.npz").read_bytes() == CONTENT


def test_a_host_that_does_not_get_as_far_as_a_connection_is_given_up_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert module.CONNECT == 5
    monkeypatch.setattr(module, "CONNECT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # takes the call and says nothing, so there is no encryption
        url = f"https://127.0.0.1:{deaf.getsockname()[1]}/data.npz"
        with Mirror({}) as mirror:
            assert "no connection to 127.0.0.1 within 0.5 s" in refused(mirror, tmp_path, url=url)


def test_a_proxy_is_used_where_the_environment_names_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy")
    with Mirror({"data.npz": CONTENT}) as proxy:
        monkeypatch.setenv("http_proxy", proxy.address)
        download(wanted(proxy, tmp_path, url="http://host.invalid/data.npz"), nothing, print)
    assert (tmp_path / "data.npz").read_bytes() == CONTENT


def test_an_https_address_is_not_led_to_http() -> None:
    request = module.urllib.request.Request("https://example.org/data.npz")
    with pytest.raises(module.HTTPError, match="https"):
        module._Redirects().redirect_request(request, None, 302, "Found", {}, "http://example.org/data.npz")


def test_a_cut_download_goes_on_once_where_it_was_cut(tmp_path: Path) -> None:
    said: list[str] = []
    with Mirror({"data.npz": CONTENT}, cut_after(600_000)) as mirror:
        download(wanted(mirror, tmp_path), nothing, said.append)
        assert mirror.asked == [("data.npz", None), ("data.npz", "bytes=600000-")]
    assert (tmp_path / "data.npz").read_bytes() == CONTENT
    assert len(said) == 1 and "0.6 MB" in said[0]


def test_a_server_that_cannot_go_on_is_asked_for_all_of_it_again(tmp_path: Path) -> None:
    def from_the_start(asked, content: bytes) -> None:
        size = len(content) if asked.start else 600_000
        asked.start = 0
        asked.answer(len(content))
        asked.wfile.write(content[:size])

    with Mirror({"data.npz": CONTENT}, from_the_start) as mirror:
        download(wanted(mirror, tmp_path), nothing, print)
    assert (tmp_path / "data.npz").read_bytes() == CONTENT


def test_a_connection_that_is_cut_again_leaves_nothing(tmp_path: Path) -> None:
    with Mirror({"data.npz": CONTENT}, cut_after(300_000)) as mirror:
        assert "cut after 600,000 of 1,024,000 bytes" in refused(mirror, tmp_path)
        assert len(mirror.asked) == 2


def test_a_wrong_md5_leaves_nothing_and_names_both(tmp_path: Path) -> None:
    other = CONTENT[:-1] + b"?"
    with Mirror({"data.npz": other}) as mirror:
        said = refused(mirror, tmp_path)
    assert MD5 in said and hashlib.md5(other).hexdigest() in said


def test_a_web_page_in_place_of_the_file_leaves_nothing_and_is_called_so(tmp_path: Path) -> None:
    with Mirror({"data.npz": CONTENT}, a_web_page) as mirror:
        assert "a web page" in refused(mirror, tmp_path)


def test_a_missing_file_is_told_with_host_and_status(tmp_path: Path) -> None:
    with Mirror({}) as mirror:
        assert "127.0.0.1 answered 404" in refused(mirror, tmp_path)


def test_a_silent_server_is_noticed_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.STALL == 30
    monkeypatch.setattr(module, "STALL", 0.5)
    with Mirror({"data.npz": CONTENT}, silent_after(1000)) as mirror:
        assert "no byte from 127.0.0.1 within 0.5 s" in refused(mirror, tmp_path)


def test_nobody_at_the_address_is_told_at_once(tmp_path: Path) -> None:
    with Mirror({}) as mirror:
        pass
    began = time.monotonic()
    assert "cannot be reached" in refused(mirror, tmp_path)
    assert time.monotonic() - began < module.CONNECT


def test_what_has_no_room_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10**12, 10**12, 5_000_000))
    with Mirror({"data.npz": CONTENT}) as mirror:
        said = refused(mirror, tmp_path)
    assert "needs 1.0 MB" in said and str(tmp_path) in said and "5.0 MB free" in said


@pytest.mark.parametrize("serve", [whole, of_unknown_length], ids=lambda serve: serve.__name__)
def test_what_is_larger_than_the_file_can_be_is_refused(tmp_path: Path, serve: Serve) -> None:
    with Mirror({"data.npz": CONTENT}, serve) as mirror:
        assert "at most 500,000 bytes" in refused(mirror, tmp_path, largest=500_000)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with Mirror({"data.npz": CONTENT}) as mirror, pytest.raises(DownloadFailed) as failed:
        download(wanted(mirror, tmp_path / "file" / "folder"), nothing, print)
    assert str(tmp_path / "file" / "folder") in str(failed.value)


def test_what_was_there_stays_when_a_download_fails(tmp_path: Path) -> None:
    (tmp_path / "data.npz").write_bytes(b"old")
    with Mirror({"data.npz": b"wrong"}) as mirror, pytest.raises(DownloadFailed):
        download(wanted(mirror, tmp_path), nothing, print)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_an_abort_ends_it_at_once_though_the_server_is_silent(tmp_path: Path) -> None:
    class Aborted(Exception):
        pass

    asked_to_end = threading.Event()

    def between(done: int, total: int | None) -> None:
        if asked_to_end.is_set():
            raise Aborted
        if done:
            asked_to_end.set()

    with Mirror({"data.npz": CONTENT}, silent_after(1000)) as mirror:
        began = time.monotonic()
        with pytest.raises(Aborted):
            download(wanted(mirror, tmp_path), between, print)
        assert time.monotonic() - began < 5
    assert list(tmp_path.iterdir()) == []


def test_two_at_once_do_each_other_no_harm(tmp_path: Path) -> None:
    both = threading.Barrier(2)

    def together(asked, content: bytes) -> None:
        both.wait(20)
        whole(asked, content)

    with Mirror({"data.npz": CONTENT}, together) as mirror:
        threads = [threading.Thread(target=download, args=(wanted(mirror, tmp_path), nothing, print)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(mirror.asked) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["data.npz"]
    assert (tmp_path / "data.npz").read_bytes() == CONTENT


def test_what_a_killed_fetcher_left_goes_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    long_ago = time.time() - 3600
    living, killed, young = (tmp_path / f".data.abcdefg{end}.npz" for end in "123")
    for path in (living, killed, young):
        path.write_bytes(b"a part")
    for path in (living, killed):
        os.utime(path, (long_ago, long_ago))
    with living.open("rb") as file, Mirror({"data.npz": CONTENT}) as mirror:
        fcntl.flock(file, fcntl.LOCK_EX)
        download(wanted(mirror, tmp_path), nothing, print)
    assert {path.name for path in tmp_path.iterdir()} == {"data.npz", living.name, young.name}


def test_a_file_is_known_by_the_start_of_its_sha_256_as_torch_hub_does(tmp_path: Path) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    with Mirror({"data.npz": CONTENT}) as mirror:
        download(wanted(mirror, tmp_path, algorithm="sha256", digest=digest[:8]), nothing, print)
        assert (tmp_path / "data.npz").read_bytes() == CONTENT
        with pytest.raises(DownloadFailed, match="SHA-256 00000000"):
            download(wanted(mirror, tmp_path, algorithm="sha256", digest="00000000"), nothing, print)
