"""Downloads: complete and verified, or nothing; whatever the server, the network or the disk does."""

from __future__ import annotations

import errno
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
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest
from serving import Mirror, Serve, a_web_page, complete, cut_after, of_unknown_length, silent_after

from engine.download import Download, DownloadFailed, download, part, stream
from engine.download import transfer as module
from engine.sentences import Downloads

CONTENT = bytes(range(256)) * 4000  # 1 MB
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert module.PAUSES == (0.5, 2.0, 4.0)
    monkeypatch.setattr(module, "PAUSES", (0.01, 0.02, 0.03))


def spec(mirror: Mirror, folder: Path, **changes: object) -> Download:
    values = {"url": f"{mirror.address}/data.npz", "target": folder / "data.npz", "algorithm": "md5", "digest": MD5}
    return Download(**{**values, "largest": 2_000_000, **changes})  # type: ignore[arg-type]


def nothing(done: int, total: int | None) -> None:
    pass


def refused(mirror: Mirror, folder: Path, **changes: object) -> DownloadFailed:
    """Why it failed; it left nothing."""
    with pytest.raises(DownloadFailed) as failed:
        download(spec(mirror, folder, **changes), nothing, print)
    assert list(folder.iterdir()) == []
    return failed.value


@pytest.mark.parametrize("serve", [complete, of_unknown_length], ids=lambda serve: serve.__name__)
def test_a_file_is_fetched_completely_and_nothing_else_is_left(tmp_path: Path, serve: Serve) -> None:
    told: list[tuple[int, int | None]] = []
    with Mirror({"data.npz": CONTENT}, serve) as mirror:
        download(spec(mirror, tmp_path / "new" / "folder"), lambda *at: told.append(at), print)
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
            complete(asked, content)

    with Mirror({"data.npz": b"", "other.npz": CONTENT}, elsewhere) as mirror:
        download(spec(mirror, tmp_path), nothing, print)
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


def test_https_is_accepted_only_from_hosts_with_a_trusted_certificate(
    tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    folder = tmp_path / "data"
    with Mirror({"data.npz": CONTENT}) as mirror:
        mirror.socket = context.wrap_socket(mirror.socket, server_side=True)
        url = mirror.address.replace("http:", "https:") + "/data.npz"
        with pytest.raises(DownloadFailed) as failed:
            download(spec(mirror, folder, url=url), nothing, print)
        assert (failed.value.code, failed.value.fields["host"]) == (Downloads.CERTIFICATE.code, "127.0.0.1")
        assert list(folder.iterdir()) == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        download(spec(mirror, folder, url=url), nothing, print)
    assert (folder / "data.npz").read_bytes() == CONTENT


def test_connecting_to_an_unresponsive_host_times_out_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.CONNECT == 5
    monkeypatch.setattr(module, "CONNECT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # takes the call and says nothing, so there is no encryption
        url = f"https://127.0.0.1:{deaf.getsockname()[1]}/data.npz"
        with Mirror({}) as mirror:
            failed = refused(mirror, tmp_path, url=url)
    assert failed.code == Downloads.NO_CONNECTION.code
    assert failed.fields == {"host": "127.0.0.1", "seconds": 0.5}


def test_a_proxy_is_used_where_the_environment_names_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy")
    with Mirror({"data.npz": CONTENT}) as proxy:
        monkeypatch.setenv("http_proxy", proxy.address)
        download(spec(proxy, tmp_path, url="http://host.invalid/data.npz"), nothing, print)
    assert (tmp_path / "data.npz").read_bytes() == CONTENT


def test_an_https_address_is_not_redirected_to_http(
    tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def to_http(asked, content: bytes) -> None:
        asked.send_response(302)
        asked.send_header("Location", f"{plain.address}/data.npz")
        asked.end_headers()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with Mirror({"data.npz": CONTENT}) as plain, Mirror({"data.npz": CONTENT}, to_http) as mirror:
        mirror.socket = context.wrap_socket(mirror.socket, server_side=True)
        failed = refused(mirror, tmp_path / "data", url=mirror.address.replace("http:", "https:") + "/data.npz")
        assert plain.asked == []
    assert "redirects away from https" in str(failed)


def test_redirects_that_never_end_are_given_up(tmp_path: Path) -> None:
    def again(asked, content: bytes) -> None:
        asked.send_response(302)
        asked.send_header("Location", "/data.npz")
        asked.end_headers()

    with Mirror({"data.npz": CONTENT}, again) as mirror:
        assert refused(mirror, tmp_path).code == Downloads.REDIRECTS.code
        assert len(mirror.asked) == stream.REDIRECTS


def test_an_interrupted_download_resumes_where_it_stopped(tmp_path: Path) -> None:
    said: list[str] = []
    with Mirror({"data.npz": CONTENT}, cut_after(600_000)) as mirror:
        download(spec(mirror, tmp_path), nothing, said.append)
        assert mirror.asked == [("data.npz", None), ("data.npz", "bytes=600000-")]
    assert (tmp_path / "data.npz").read_bytes() == CONTENT
    assert len(said) == 1 and "600 kB" in said[0]


def test_a_server_that_cannot_resume_is_asked_for_the_complete_file(tmp_path: Path) -> None:
    def from_the_start(asked, content: bytes) -> None:
        size = len(content) if asked.start else 600_000
        asked.start = 0
        asked.answer(len(content))
        asked.wfile.write(content[:size])

    with Mirror({"data.npz": CONTENT}, from_the_start) as mirror:
        download(spec(mirror, tmp_path), nothing, print)
    assert (tmp_path / "data.npz").read_bytes() == CONTENT


def test_a_connection_that_keeps_dropping_is_given_up_and_leaves_nothing_small(tmp_path: Path) -> None:
    with Mirror({"data.npz": CONTENT}, cut_after(1000)) as mirror:
        failed = refused(mirror, tmp_path)
        assert (failed.code, failed.fields) == (Downloads.CUT.code, {"done": 4000, "total": 1_024_000})
        assert len(mirror.asked) == 1 + len(module.PAUSES)


def test_a_download_goes_on_as_long_as_each_attempt_brings_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GAIN", 100_000)
    with Mirror({"data.npz": CONTENT}, cut_after(100_000)) as mirror:
        download(spec(mirror, tmp_path), nothing, lambda line: None)
        assert len(mirror.asked) == 11
    assert (tmp_path / "data.npz").read_bytes() == CONTENT


# ---- a server that asks for patience ---------------------------------------------------------------------------------


def busy_once(status: int, **headers: str) -> Serve:
    def serve(asked, content: bytes) -> None:
        if len(asked.server.asked) > 1:
            complete(asked, content)
            return
        asked.send_response(status)
        for name, value in headers.items():
            asked.send_header(name.replace("_", "-"), value)
        asked.end_headers()

    return serve


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_after_as_long_as_it_says(tmp_path: Path, status: int) -> None:
    said: list[str] = []
    with Mirror({"data.npz": CONTENT}, busy_once(status, Retry_After="1")) as mirror:
        began = time.monotonic()
        download(spec(mirror, tmp_path), nothing, said.append)
        assert time.monotonic() - began >= 1
        assert len(mirror.asked) == 2
    assert (tmp_path / "data.npz").read_bytes() == CONTENT
    assert str(status) in said[0] and "in 1.0 s" in said[0]


def test_a_server_that_asks_for_more_patience_than_there_is_is_reported(tmp_path: Path) -> None:
    with Mirror({"data.npz": CONTENT}, busy_once(429, Retry_After="7200")) as mirror:
        failed = refused(mirror, tmp_path)
        assert len(mirror.asked) == 1
    assert failed.code == Downloads.RETRY_LATER.code and "120 minutes" in str(failed)


def test_a_date_to_retry_at_is_understood() -> None:
    """The forms of RFC 9110, section 10.2.3."""
    assert stream.retry_after("120") == 120
    assert stream.retry_after("Fri, 31 Dec 1999 23:59:59 GMT") == 0
    assert 7000 < (stream.retry_after(formatdate(time.time() + 7200, usegmt=True)) or 0) <= 7200
    assert stream.retry_after("soon") is None and stream.retry_after("") is None


def test_waiting_for_a_busy_server_can_be_aborted(tmp_path: Path) -> None:
    class Aborted(Exception):
        pass

    said: list[str] = []

    def between(done: int, total: int | None) -> None:
        if said:
            raise Aborted

    with Mirror({"data.npz": CONTENT}, busy_once(503, Retry_After="200")) as mirror, pytest.raises(Aborted):
        download(spec(mirror, tmp_path), between, said.append)


# ---- continued by another process, fetched by one of them ------------------------------------------------------------


def part_in(folder: Path) -> Path:
    return folder / f".data.npz.{MD5[:8]}.part"


def test_what_was_cut_and_is_large_is_continued_by_the_next_fetch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert part.KEPT == 4_000_000
    monkeypatch.setattr(part, "KEPT", 1000)
    with Mirror({"data.npz": CONTENT}, cut_after(1000)) as mirror:
        with pytest.raises(DownloadFailed):
            download(spec(mirror, tmp_path), nothing, print)
        assert [path.name for path in tmp_path.iterdir()] == [part_in(tmp_path).name]
        mirror.serve, said = complete, []
        download(spec(mirror, tmp_path), nothing, said.append)
        assert mirror.asked[-1] == ("data.npz", "bytes=4000-")
    assert [path.name for path in tmp_path.iterdir()] == ["data.npz"]
    assert (tmp_path / "data.npz").read_bytes() == CONTENT and "Continuing" in said[0]


def test_the_part_of_a_killed_fetcher_is_continued(tmp_path: Path) -> None:
    part_in(tmp_path).write_bytes(CONTENT[:300_000])
    with Mirror({"data.npz": CONTENT}) as mirror:
        download(spec(mirror, tmp_path), nothing, print)
        assert mirror.asked == [("data.npz", "bytes=300000-")]
    assert (tmp_path / "data.npz").read_bytes() == CONTENT


@pytest.mark.parametrize("left", [b"?" * 300_000, CONTENT + b"?" * 1000], ids=["of another file", "too long"])
def test_a_part_that_does_not_belong_to_the_file_is_fetched_anew(tmp_path: Path, left: bytes) -> None:
    part_in(tmp_path).write_bytes(left)

    def strict(asked, content: bytes) -> None:
        if asked.start > len(content):
            asked.send_error(416)
        else:
            complete(asked, content)

    with Mirror({"data.npz": CONTENT}, strict) as mirror:
        download(spec(mirror, tmp_path), nothing, print)
    assert [path.name for path in tmp_path.iterdir()] == ["data.npz"]
    assert (tmp_path / "data.npz").read_bytes() == CONTENT


def test_a_complete_part_needs_no_server(tmp_path: Path) -> None:
    part_in(tmp_path).write_bytes(CONTENT)
    with Mirror({}) as mirror:
        download(spec(mirror, tmp_path), nothing, print)
        assert mirror.asked == []
    assert (tmp_path / "data.npz").read_bytes() == CONTENT


def test_a_wrong_md5_leaves_nothing_and_names_both(tmp_path: Path) -> None:
    other = CONTENT[:-1] + b"?"
    with Mirror({"data.npz": other}) as mirror:
        failed = refused(mirror, tmp_path)
    assert failed.code == Downloads.DIGEST.code
    assert (failed.fields["expected"], failed.fields["found"]) == (MD5, hashlib.md5(other).hexdigest())


def test_a_web_page_instead_of_the_file_leaves_nothing_and_is_reported_as_one(tmp_path: Path) -> None:
    with Mirror({"data.npz": CONTENT}, a_web_page) as mirror:
        assert refused(mirror, tmp_path).code == Downloads.WEB_PAGE.code


def test_a_missing_file_is_reported_with_host_and_status(tmp_path: Path) -> None:
    with Mirror({}) as mirror:
        failed = refused(mirror, tmp_path)
    assert failed.code == Downloads.ANSWERED.code
    assert (failed.fields["host"], failed.fields["status"]) == ("127.0.0.1", 404)


def test_a_silent_server_is_noticed_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.STALL == 30
    monkeypatch.setattr(module, "STALL", 0.5)
    with Mirror({"data.npz": CONTENT}, silent_after(1000)) as mirror:
        failed = refused(mirror, tmp_path)
    assert (failed.code, failed.fields) == (Downloads.NO_DATA.code, {"host": "127.0.0.1", "seconds": 0.5})


def test_a_refused_connection_is_reported_at_once(tmp_path: Path) -> None:
    with Mirror({}) as mirror:
        pass
    began = time.monotonic()
    assert refused(mirror, tmp_path).code == Downloads.UNREACHABLE.code
    assert time.monotonic() - began < module.CONNECT


def test_a_download_without_disk_space_is_not_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10**12, 10**12, 5_000_000))
    with Mirror({"data.npz": CONTENT}) as mirror:
        failed = refused(mirror, tmp_path)
    assert failed.code == Downloads.NO_SPACE.code
    assert failed.fields == {"need": "1.0 MB", "folder": tmp_path, "found": "5.0 MB"}


@pytest.mark.parametrize("serve", [complete, of_unknown_length], ids=lambda serve: serve.__name__)
def test_what_is_larger_than_the_file_can_be_is_refused(tmp_path: Path, serve: Serve) -> None:
    with Mirror({"data.npz": CONTENT}, serve) as mirror:
        failed = refused(mirror, tmp_path, largest=500_000)
    assert (failed.code, failed.fields["expected"]) == (Downloads.TOO_LARGE.code, 500_000)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with Mirror({"data.npz": CONTENT}) as mirror, pytest.raises(DownloadFailed) as failed:
        download(spec(mirror, tmp_path / "file" / "folder"), nothing, print)
    assert failed.value.code == Downloads.NOT_WRITABLE.code
    assert failed.value.fields["folder"] == tmp_path / "file" / "folder"


def test_what_was_there_stays_when_a_download_fails(tmp_path: Path) -> None:
    (tmp_path / "data.npz").write_bytes(b"old")
    with Mirror({"data.npz": b"wrong"}) as mirror, pytest.raises(DownloadFailed):
        download(spec(mirror, tmp_path), nothing, print)
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
            download(spec(mirror, tmp_path), between, print)
        assert time.monotonic() - began < 20  # the server answers never
    assert list(tmp_path.iterdir()) == []


def test_of_two_at_once_one_fetches_and_the_other_waits_for_it(tmp_path: Path) -> None:
    waiting = threading.Event()

    def once_the_other_waits(asked, content: bytes) -> None:
        assert waiting.wait(20)
        complete(asked, content)

    def log(line: str) -> None:
        if "Another process is fetching" in line:
            waiting.set()

    with Mirror({"data.npz": CONTENT}, once_the_other_waits) as mirror:
        threads = [threading.Thread(target=download, args=(spec(mirror, tmp_path), nothing, log)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(mirror.asked) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["data.npz"]
    assert (tmp_path / "data.npz").read_bytes() == CONTENT


def test_without_locks_each_fetches_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(part.fcntl, "flock", none)
    with Mirror({"data.npz": CONTENT}) as mirror:
        download(spec(mirror, tmp_path), nothing, print)
        assert len(mirror.asked) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["data.npz"]
    assert (tmp_path / "data.npz").read_bytes() == CONTENT


def test_leftovers_of_a_killed_download_are_deleted_and_files_of_a_live_one_kept(tmp_path: Path) -> None:
    long_ago = time.time() - 3600
    living, killed, young = (tmp_path / f".data.abcdefg{end}.npz" for end in "123")
    for path in (living, killed, young):
        path.write_bytes(b"a part")
    for path in (living, killed):
        os.utime(path, (long_ago, long_ago))
    with living.open("rb") as file, Mirror({"data.npz": CONTENT}) as mirror:
        fcntl.flock(file, fcntl.LOCK_EX)
        download(spec(mirror, tmp_path), nothing, print)
    assert {path.name for path in tmp_path.iterdir()} == {"data.npz", living.name, young.name}


def test_a_file_is_known_by_the_start_of_its_sha_256_as_torch_hub_does(tmp_path: Path) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    with Mirror({"data.npz": CONTENT}) as mirror:
        download(spec(mirror, tmp_path, algorithm="sha256", digest=digest[:8]), nothing, print)
        assert (tmp_path / "data.npz").read_bytes() == CONTENT
        with pytest.raises(DownloadFailed) as failed:
            download(spec(mirror, tmp_path, algorithm="sha256", digest="00000000"), nothing, print)
        assert failed.value.code == Downloads.DIGEST.code
        assert (failed.value.fields["algorithm"], failed.value.fields["expected"]) == ("SHA-256", "00000000")


def dripping(asked, content: bytes) -> None:
    asked.answer(len(content))
    for byte in content[asked.start :]:
        asked.wfile.write(bytes([byte]))
        asked.wfile.flush()
        if asked.server.over.wait(0.05):
            return


def test_a_server_that_only_drips_times_out_with_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (module.WINDOW, module.SLOWEST) == (30, 1000)
    monkeypatch.setattr(module, "WINDOW", 0.5)
    with Mirror({"data.npz": CONTENT}, dripping) as mirror:
        failed = refused(mirror, tmp_path)
        assert len(mirror.asked) > 1, "another connection may be faster"
    assert failed.code == Downloads.TOO_SLOW.code
    assert (failed.fields["host"], failed.fields["expected"]) == ("127.0.0.1", 1000)


def test_a_link_that_hiccups_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WINDOW", 2.0)

    def hiccup(asked, content: bytes) -> None:
        asked.answer(len(content))
        asked.wfile.write(content[:500_000])
        asked.wfile.flush()
        asked.server.over.wait(1.0)
        asked.wfile.write(content[500_000:])

    with Mirror({"data.npz": CONTENT}, hiccup) as mirror:
        download(spec(mirror, tmp_path), nothing, pytest.fail)
        assert len(mirror.asked) == 1


def test_a_login_is_sent_to_its_server_and_not_to_redirect_targets(tmp_path: Path) -> None:
    seen: list[tuple[str, str | None]] = []

    def elsewhere(asked, content: bytes) -> None:
        seen.append((asked.headers["Host"], asked.headers["Authorization"]))
        if asked.path == "/data.npz" and asked.server is first:
            asked.send_response(302)
            asked.send_header("Location", f"{first.address}/moved.npz")
            asked.end_headers()
        elif asked.server is first:
            asked.send_response(302)
            asked.send_header("Location", f"{second.address}/data.npz")
            asked.end_headers()
        else:
            complete(asked, content)

    files = {"data.npz": CONTENT, "moved.npz": CONTENT}
    with Mirror(files, elsewhere) as first, Mirror(files, elsewhere) as second:
        download(replace(spec(first, tmp_path), authorization="Basic c2VjcmV0"), nothing, pytest.fail)
    assert [secret for _, secret in seen] == ["Basic c2VjcmV0", "Basic c2VjcmV0", None]
