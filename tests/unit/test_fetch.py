"""Downloads against a server on this machine that misbehaves on purpose."""

from __future__ import annotations

import ast
import email.utils
import errno
import fcntl
import gzip
import hashlib
import http.server
import io
import os
import random
import shutil
import threading
import time
import urllib.request
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytostrat.errors import ConfigError, FetchError
from cytostrat.fetch import cache_path, fetch, locking, read_lock, transfer

TEXT = "".join(f"GENE{i}\t{random.Random(i).random():.6f}\n" for i in range(40_000)).encode()
DATA = gzip.compress(TEXT, mtime=0)
SHA256 = hashlib.sha256(DATA).hexdigest()
OTHER = gzip.compress(TEXT + b"one more line\n", mtime=0)
PAGE = b"<!DOCTYPE html>\n<html><head><title>Down for maintenance</title></head></html>" * 50
ETAG = '"v1"'


class Server(http.server.ThreadingHTTPServer):
    """Answers each path by the next word of its script, and by `good` when that has run out."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.scripts: dict[str, list[str]] = {}
        self.seen: list[tuple[str, str | None, str | None]] = []
        self.served = Counter()
        self.etag = ETAG

    def url(self, path: str, *script: str) -> str:
        self.scripts[path] = list(script)
        return f"http://127.0.0.1:{self.server_port}{path}"

    def handle_error(self, request, client_address):
        """Stay silent where a client hung up."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5

    def log_message(self, *args):
        """Write nothing."""

    def do_GET(self):
        server = self.server
        asked, condition = self.headers.get("Range"), self.headers.get("If-Range")
        server.seen.append((self.path, asked, condition))
        script = server.scripts.get(self.path, [])
        getattr(self, "act_" + (script.pop(0) if script else "good"))()
        self.close_connection = True

    def answer(self, status=200, body=b"", length=None, ranged=False, **headers):
        start = 0
        asked = self.headers.get("Range")
        if ranged and asked and self.headers.get("If-Range", self.server.etag) == self.server.etag:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            status = 206
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        self.send_response(status)
        size = len(body) if length is None else length
        self.send_header("Content-Length", str(size - start))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body[start:])
        self.server.served[self.path] += len(body) - start

    def act_good(self):
        self.answer(body=DATA, ranged=True, ETag=self.server.etag)

    def act_rangeless(self):
        self.answer(body=DATA, ETag=self.server.etag)

    def act_416(self):
        self.answer(416) if self.headers.get("Range") else self.answer(body=DATA)

    def act_404(self):
        self.answer(404, PAGE)

    def act_403(self):
        self.answer(403, b"<Error><Code>AccessDenied</Code></Error>")

    def act_429(self):
        self.answer(429, Retry_After="7")

    def act_busy_until(self):
        later = datetime.now(UTC) + timedelta(seconds=30)
        self.answer(503, Retry_After=email.utils.format_datetime(later, usegmt=True))

    def act_tomorrow(self):
        self.answer(429, Retry_After="86400")

    def act_500(self):
        self.answer(500, b"a body that is no data")

    def act_cut(self):
        self.answer(body=DATA[: len(DATA) // 2], length=len(DATA), ETag=self.server.etag)

    def act_cut_without_etag(self):
        self.answer(body=DATA[: len(DATA) // 2], length=len(DATA))

    def act_cut_other_version(self):
        self.answer(body=OTHER[: len(OTHER) // 2], length=len(OTHER), ETag='"v0"')

    def act_cut_damaged(self):
        self.answer(body=bytes(len(DATA) // 2), length=len(DATA), ETag=self.server.etag)

    def act_close_delimited(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + DATA[: len(DATA) // 2])

    def act_cut_chunked(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        half = DATA[: len(DATA) // 2]
        self.wfile.write(f"{len(half):x}\r\n".encode() + half + b"\r\n")

    def act_hang_up(self):
        self.connection.close()

    def act_short(self):
        self.answer(body=DATA[:-100])

    def act_other(self):
        self.answer(body=OTHER)

    def act_loop(self):
        self.answer(302, Location=self.path)

    def act_wander(self):
        step = int(self.path.rpartition("=")[2] or 0) + 1
        self.server.scripts[f"/wander?step={step}"] = ["wander"]
        self.answer(302, Location=f"/wander?step={step}")

    def act_to_plain_http(self):
        self.answer(302, Location="http://data.example.org/x.gz")

    def act_moved(self):
        self.answer(301, Location="/elsewhere.gz")

    def act_damaged_end(self):
        self.answer(body=DATA[:-6] + b"\1\2\3\4\5\6")

    def act_damaged_middle(self):
        middle = len(DATA) // 2
        self.answer(body=DATA[:middle] + b"\xff" * 50 + DATA[middle + 50 :])

    def act_page(self):
        self.answer(body=PAGE, Content_Type="text/html")

    def act_bare_page(self):
        self.answer(body=b"\xef\xbb\xbf\n <!-- moved --><html></html>")

    def act_empty(self):
        self.answer()

    def act_encoded(self):
        self.answer(body=DATA, Content_Encoding="gzip")

    def act_drip(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(DATA)))
        self.send_header("ETag", self.server.etag)
        self.end_headers()
        for i in range(200):
            self.wfile.write(DATA[i : i + 1])
            time.sleep(0.02)

    def act_silent(self):
        time.sleep(1.0)

    def act_endless(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for _ in range(200):
            self.wfile.write(DATA)


@pytest.fixture(scope="module")
def running():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def server(running, monkeypatch):
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    running.scripts.clear()
    running.seen.clear()
    running.served.clear()
    running.etag = ETAG
    return running


@pytest.fixture
def get(tmp_path):
    """Fetch to one destination with a fast stall rule; what it said and slept is kept."""

    def run(url, **options):
        options = {"retries": 2, "low_speed": (1024.0, 0.3), "timeout": 5.0, **options}
        return fetch(
            url,
            options.pop("destination", tmp_path / "out" / "data.tsv.gz"),
            report=run.lines.append,
            sleep=run.pauses.append,
            **options,
        )

    run.lines, run.pauses = [], []
    run.path = tmp_path / "out" / "data.tsv.gz"
    return run


def accepted(folder: Path) -> list[str]:
    """Names that something downstream could take for a finished file."""
    return sorted(
        path.name
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith((".part", ".part.json"))
    )


def is_whole(path: Path) -> bool:
    return path.read_bytes() == DATA and accepted(path.parent) == [path.name]


# a script that never ends well, how often the server is asked, and what the message must say
FATAL = {
    "404": (1, "no such file: correct the address"),
    "403": (1, "may have moved or want a login"),
    "tomorrow": (1, "pause of 86400 s; start again after that"),
    "500": (3, "3 tries.*status 500.*Try again later"),
    "hang_up": (3, "3 tries.*the connection broke"),
    "cut_without_etag": (3, r"ended after \d+ of \d+ bytes.*Try again later"),
    "cut_chunked": (3, "the connection broke.*Try again later"),
    "loop": (None, "redirects in a loop or more than 10 times; open it in a browser"),
    "to_plain_http": (1, "plain http.*use https, or state the sha256"),
    "damaged_end": (1, "gzip data are damaged.*broken at its source"),
    "damaged_middle": (1, "gzip data are damaged.*broken at its source"),
    "short": (1, "gzip data end too early, the file is cut off"),
    "close_delimited": (1, "gzip data end too early, the file is cut off"),
    "page": (1, "a web page in place of data.*open it in a browser"),
    "bare_page": (1, "a web page in place of data.*open it in a browser"),
    "empty": (1, "is empty; check the address"),
    "drip": (3, "stalled, less than 1024 bytes per second"),
}


@pytest.mark.parametrize("script", FATAL)
def test_a_failure_leaves_nothing_says_what_to_do_and_the_next_good_try_succeeds(
    script, server, get
):
    n_requests, message = FATAL[script]
    url = server.url(f"/{script}.gz", *[script] * 20)
    with pytest.raises(FetchError, match=f"(?s){message}"):
        get(url)
    assert accepted(get.path.parent) == []
    assert n_requests in (None, len(server.seen))
    server.url(f"/{script}.gz")
    fetched = get(url)
    assert is_whole(get.path)
    assert (fetched.sha256, fetched.size) == (SHA256, len(DATA))
    assert (fetched.origin, fetched.status) == ("network", "unverified")
    assert not get.path.with_name("data.tsv.gz.part.json").exists()


PASSING = {
    "429": ["429"],
    "500": ["500", "500"],
    "cut": ["cut", "cut"],
    "hang_up": ["hang_up"],
    "drip": ["drip"],
    "busy_until": ["busy_until"],
}


@pytest.mark.parametrize("script", PASSING)
def test_a_passing_failure_is_tried_again(script, server, get):
    get(server.url("/a.gz", *PASSING[script]))
    assert is_whole(get.path)
    assert len(get.pauses) == len(PASSING[script])


def test_the_pause_is_that_of_the_server_or_doubles(server, get):
    get(server.url("/a.gz", "429"))
    assert get.pauses == [7.0]
    get.path.unlink()
    get.pauses.clear()
    get(server.url("/a.gz", *["500"] * 8), retries=8)
    assert get.pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    get.path.unlink()
    get.pauses.clear()
    get(server.url("/a.gz", "busy_until"))
    assert 25 < get.pauses[0] <= 30
    assert any("status 503; trying again in" in line for line in get.lines)


def test_a_silent_server_counts_as_a_dropped_connection(server, get):
    with pytest.raises(FetchError, match="timed out"):
        get(server.url("/a.gz", *["silent"] * 2), timeout=0.2, retries=1)
    assert accepted(get.path.parent) == []


def test_no_connection_at_all_names_the_way_without_a_network(get):
    with pytest.raises(FetchError, match=r"no connection .*set `mirror`"):
        get("http://127.0.0.1:9/a.gz")


def test_a_cut_download_is_resumed_where_it_stopped(server, get):
    url = server.url("/a.gz", "cut")
    get(url)
    half = len(DATA) // 2
    assert server.seen[1] == ("/a.gz", f"bytes={half}-", ETAG)
    assert server.served["/a.gz"] == len(DATA)
    assert is_whole(get.path)


def test_a_killed_download_is_resumed_by_the_next_run(server, get):
    url = server.url("/a.gz", "cut")
    with pytest.raises(FetchError):
        get(url, retries=0)
    get(url)
    assert server.seen[1][1] == f"bytes={len(DATA) // 2}-"
    assert is_whole(get.path)


def test_a_part_that_is_whole_already_is_taken(server, get):
    url = server.url("/a.gz", "cut")
    with pytest.raises(FetchError):
        get(url, retries=0)
    get.path.with_name("data.tsv.gz.part").write_bytes(DATA)
    get(url)
    assert server.served["/a.gz"] == len(DATA) // 2
    assert is_whole(get.path)


@pytest.mark.parametrize("refusal", ["rangeless", "416"])
def test_where_range_is_refused_it_starts_again(refusal, server, get):
    get(server.url("/a.gz", "cut", refusal))
    assert is_whole(get.path)


def test_a_part_of_another_version_is_not_continued(server, get):
    get(server.url("/a.gz", "cut_other_version"))
    assert server.seen[1][2] == '"v0"'
    assert is_whole(get.path)


def test_without_a_validator_only_a_known_checksum_allows_resuming(server, get):
    get(server.url("/a.gz", "cut_without_etag"))
    assert [seen[1] for seen in server.seen] == [None, None]
    get.path.unlink()
    server.seen.clear()
    get(server.url("/a.gz", "cut_without_etag"), sha256=SHA256)
    assert [seen[1:] for seen in server.seen] == [(None, None), (f"bytes={len(DATA) // 2}-", None)]


def test_a_resumed_file_that_turns_out_damaged_is_fetched_once_more_whole(server, get):
    url = server.url("/b", "cut_damaged")
    get(url, sha256=SHA256, destination=get.path.with_name("b"))
    assert [seen[1] for seen in server.seen] == [None, f"bytes={len(DATA) // 2}-", None]
    assert get.path.with_name("b").read_bytes() == DATA


def test_wrong_bytes_and_wrong_length_are_refused(server, get):
    url = server.url("/a.gz", "other")
    with pytest.raises(FetchError, match=f"stated one is {SHA256}.*correct the stated sha256"):
        get(url, sha256=SHA256)
    server.url("/a.gz", "other")
    with pytest.raises(FetchError, match=f"stated size is {len(DATA)}"):
        get(url, size=len(DATA))
    server.url("/a.gz", "close_delimited")
    with pytest.raises(FetchError, match=f"stated size is {len(DATA)}"):
        get(url, size=len(DATA))
    server.url("/a.gz", "endless")
    with pytest.raises(FetchError, match="its stated size: it has changed"):
        get(url, size=len(DATA))
    assert accepted(get.path.parent) == []
    assert get(url, size=len(DATA), sha256=SHA256.upper()).status == "declared"


def test_a_download_without_end_is_stopped(server, get):
    url = server.url("/a.gz", "endless", "good")
    with pytest.raises(FetchError, match="more than the 1000000 that are allowed"):
        get(url, max_size=1_000_000)
    assert list(get.path.parent.iterdir()) == []
    with pytest.raises(FetchError, match="more than the 1000 that are allowed"):
        get(url, max_size=1000)


def test_redirects_are_followed_within_bounds(server, get):
    assert get(server.url("/a.gz", "moved")).source.endswith("/a.gz")
    assert is_whole(get.path)
    get.path.unlink()
    with pytest.raises(FetchError, match="more than 10 times"):
        get(server.url("/wander?step=0", "wander"))
    assert len(server.seen) < 20


def test_a_redirect_never_weakens_the_transport():
    request = urllib.request.Request("https://data.example.org/a.gz")
    redirects = transfer.Redirects(declared=SHA256)
    for weaker in ("http://data.example.org/a.gz", "http://127.0.0.1/a.gz"):
        with pytest.raises(FetchError, match="from https to http"):
            redirects.redirect_request(request, io.BytesIO(), 302, "", {}, weaker)
    with pytest.raises(ConfigError, match="not of the form https"):
        redirects.redirect_request(request, io.BytesIO(), 302, "", {}, "file:///etc/passwd")


def test_a_full_disk_is_named_before_the_download(server, get, monkeypatch):
    usage = SimpleNamespace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(FetchError, match=r"has 1\.0 kB free: free some room"):
        get(server.url("/a.gz"))
    assert list(get.path.parent.iterdir()) == []


def test_a_compressed_answer_is_refused_where_the_file_is_not_compressed(server, get):
    plain = get.path.with_name("table.tsv")
    with pytest.raises(FetchError, match="sent compressed"):
        get(server.url("/table.tsv", "encoded"), destination=plain)
    get(server.url("/a.gz", "encoded"))
    assert is_whole(get.path)


def test_a_page_is_welcome_where_a_page_is_declared(server, get):
    page = get.path.with_name("page.html")
    get(server.url("/page.html", "page"), destination=page)
    assert page.read_bytes() == PAGE


def test_a_name_that_promises_another_kind_of_file_is_refused(server, get):
    with pytest.raises(FetchError, match=r"is named cells\.h5ad but is no HDF5 file"):
        get(server.url("/cells.h5ad"))
    with pytest.raises(FetchError, match=r"is named x\.h5ad but is no HDF5 file"):
        get(server.url("/uuid"), destination=get.path.with_name("x.h5ad"))


def test_an_accepted_file_is_not_fetched_again(server, get):
    url = server.url("/a.gz")
    get(url)
    assert get(url).origin == "cache"
    assert len(server.seen) == 1
    get.path.write_bytes(DATA[:1000])
    get(url, sha256=SHA256)
    assert len(server.seen) == 2
    assert is_whole(get.path)


def test_the_first_checksum_is_recorded_and_enforced_ever_after(server, get, tmp_path):
    lock = tmp_path / "fetch.lock"
    url = server.url("/a.gz")
    assert get(url, lock=lock).status == "first seen"
    assert read_lock(lock) == {url: (SHA256, len(DATA))}
    assert lock.read_text() == f"url\tsha256\tsize\n{url}\t{SHA256}\t{len(DATA)}\n"
    assert get(url, lock=lock).status == "locked"
    get.path.unlink()
    server.url("/a.gz", "other")
    with pytest.raises(FetchError, match=f"lock file recorded {SHA256}.*remove the line"):
        get(url, lock=lock)
    assert accepted(get.path.parent) == []
    with pytest.raises(FetchError, match="correct the one, or remove that line"):
        get(url, lock=lock, sha256="0" * 64)
    assert get(url, lock=lock).status == "locked"
    other = get(server.url("/b.gz"), lock=lock, destination=tmp_path / "b.gz")
    assert list(read_lock(lock)) == sorted([url, other.source])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("url\tsha256\n", "does not start with the columns"),
        ("url\tsha256\tsize\nhttps://a/b\tabc\t1\n", "line 2"),
        ("url\tsha256\tsize\n" + f"https://a/b\t{'0' * 64}\t1\n" * 2, "line 3.*twice"),
    ],
)
def test_a_damaged_lock_file_is_named_with_its_line(text, message, tmp_path, get):
    lock = tmp_path / "fetch.lock"
    lock.write_text(text)
    with pytest.raises(FetchError, match=message):
        get("https://data.example.org/a.gz", lock=lock)


def test_a_shared_folder_serves_many_runs_and_survives_without_the_server(server, get, tmp_path):
    cache = tmp_path / "downloads"
    url = server.url("/a.gz?acc=GSE1&format=file")
    get(url, cache=cache)
    there = cache_path(url, cache)
    assert there.samefile(get.path)
    again = tmp_path / "second" / "data.gz"
    assert get(url, cache=cache, destination=again).origin == "cache"
    assert again.read_bytes() == DATA
    assert len(server.seen) == 1
    # a copy at hand that breaks its checksum is replaced, and what was handed out is withdrawn
    with pytest.raises(FetchError, match="the stated one is 0000"):
        get(url, cache=cache, sha256="0" * 64)
    assert not get.path.exists()


def test_a_shared_folder_may_be_read_only(server, get, tmp_path, monkeypatch):
    cache = tmp_path / "downloads"
    lock = cache / "fetch.lock"
    url, unlisted = server.url("/a.gz"), server.url("/a.gz?again")
    get(url, cache=cache, lock=lock)
    get(unlisted, cache=cache)
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(locking, "_flock", lambda *_, **__: pytest.fail("it wanted to write"))
    assert get(url, cache=cache, lock=lock).origin == "cache"
    digest = read_lock(lock)[url][0]
    assert get(unlisted, cache=cache, lock=lock, sha256=digest).status == "declared"
    with pytest.raises(FetchError, match="state its sha256 in the cohort file"):
        get(unlisted, cache=cache, lock=lock)
    with pytest.raises(FetchError, match="can't be written to: set another download folder"):
        get(server.url("/b.gz"), cache=cache, lock=lock)


def test_two_runs_at_once_download_once(server, tmp_path):
    cache, lock = tmp_path / "downloads", tmp_path / "fetch.lock"
    url = server.url("/a.gz", "drip", "cut")
    results, errors = [], []

    def run(i):
        try:
            results.append(
                fetch(
                    url,
                    tmp_path / f"run{i}" / "a.gz",
                    cache=cache,
                    lock=lock,
                    low_speed=(1024.0, 0.2),
                    report=lambda line: None,
                    sleep=lambda seconds: time.sleep(seconds / 50),
                )
            )
        except FetchError as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert Counter(result.origin for result in results) == {"network": 1, "cache": 3}
    assert all((tmp_path / f"run{i}" / "a.gz").read_bytes() == DATA for i in range(4))
    assert [path.name for path in cache.rglob("*") if path.is_file()] == ["a.gz"]
    assert read_lock(lock) == {url: (SHA256, len(DATA))}


def test_many_runs_write_one_lock_file(server, tmp_path):
    lock = tmp_path / "fetch.lock"
    urls = [server.url(f"/{i}.gz") for i in range(8)]
    threads = [
        threading.Thread(
            target=fetch,
            args=(url, tmp_path / f"{i}.gz"),
            kwargs={"lock": lock, "report": lambda line: None},
        )
        for i, url in enumerate(urls)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(read_lock(lock)) == set(urls)


def test_a_lock_of_a_process_that_died_does_not_count(server, get):
    get.path.parent.mkdir(parents=True)
    get.path.with_name("data.tsv.gz.lock").write_text("process 999999 on elsewhere")
    get(server.url("/a.gz"))
    assert is_whole(get.path)
    assert get.pauses == []


def test_a_lock_whose_owner_does_not_move_is_given_up(server, get):
    get.path.parent.mkdir(parents=True)
    held = get.path.with_name("data.tsv.gz.lock")
    with held.open("w") as handle:
        handle.write("process 1 on here")
        handle.flush()
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(FetchError, match=r"held by process 1 on here.*30 minutes: end that"):
            get(server.url("/a.gz"))
    assert sum(get.pauses) == locking.STALE_AFTER
    get(server.url("/a.gz"))
    assert is_whole(get.path)


def test_without_file_locks_it_downloads_under_a_name_of_its_own(server, get, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSYS, "not implemented")

    monkeypatch.setattr(locking.fcntl, "flock", refuse)
    get(server.url("/a.gz", "cut"))
    assert is_whole(get.path)
    assert any("no file locks" in line for line in get.lines)


def test_the_mirror_answers_for_every_address(server, get, tmp_path):
    mirror, lock = tmp_path / "mirror", tmp_path / "fetch.lock"
    url = "https://data.example.org/geo/download/?acc=GSE1&file=a%2Eb.gz"
    with pytest.raises(FetchError, match=r"mirror has no copy .*put it at"):
        get(url, mirror=mirror)
    there = cache_path(url, mirror)
    there.parent.mkdir(parents=True)
    there.write_bytes(DATA[:-50])
    with pytest.raises(FetchError, match="gzip data end too early"):
        get(url, mirror=mirror)
    assert accepted(get.path.parent) == []
    there.write_bytes(DATA)
    fetched = get(url, mirror=mirror, lock=lock)
    assert (fetched.origin, fetched.status) == ("mirror", "first seen")
    assert is_whole(get.path)
    assert set(read_lock(lock)) == {url}
    assert server.seen == []


def test_a_path_is_copied_and_verified_like_a_download(get, tmp_path):
    source = tmp_path / "mine.tsv.gz"
    with pytest.raises(FetchError, match="does not exist; correct the path"):
        get(source)
    with pytest.raises(FetchError, match="is a folder"):
        get(tmp_path)
    source.write_bytes(PAGE)
    with pytest.raises(FetchError, match="web page in place of data"):
        get(source)
    assert accepted(get.path.parent) == []
    source.write_bytes(DATA)
    fetched = get(source.as_uri(), sha256=SHA256)
    assert (fetched.origin, fetched.status) == ("path", "declared")
    assert is_whole(get.path)
    assert get(source, destination=source, sha256=SHA256).path == source
    with pytest.raises(FetchError, match="stated one is"):
        get(source, destination=source, sha256="0" * 64)
    assert source.read_bytes() == DATA


def test_several_gzip_members_and_zero_padding_are_one_file(get, tmp_path):
    source = tmp_path / "members.gz"
    source.write_bytes(DATA + gzip.compress(b"") + DATA + bytes(512))
    get(source)
    assert gzip.decompress(get.path.read_bytes()) == TEXT * 2
    source.write_bytes(DATA + DATA[:500])
    with pytest.raises(FetchError, match="gzip data end too early"):
        get(source)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://ftp.example.org/a", "not of the form https"),
        ("https:///a", "not of the form https"),
        ("https://me:secret@data.example.org/a", "carries a user name"),
        ("https://data.example.org/a b", "holds a blank"),
        ("https://data.example.org:99999/a", "can't be read"),
    ],
)
def test_an_address_that_can_not_be_used_is_refused_without_its_password(url, message, get):
    with pytest.raises(ConfigError, match=message) as caught:
        get(url)
    assert "secret" not in str(caught.value)


def test_plain_http_needs_a_checksum(get):
    with pytest.raises(FetchError, match="use https, or state the sha256"):
        get("http://data.example.org/a.gz")
    with pytest.raises(ConfigError, match="not 64 hexadecimal digits"):
        get("http://data.example.org/a.gz", sha256="abc")


def test_the_layout_of_the_folder():
    def there(url):
        return cache_path(url, "d").as_posix()

    assert there("https://Data.Example.org/a/b.gz#top") == "d/data.example.org/a/b.gz"
    assert there("https://x.org:8443/a") == "d/x.org+8443/a"
    assert there("https://x.org/t/TCGA.sampleMap%2FHiSeqV2.gz") == (
        "d/x.org/t/TCGA.sampleMap%2FHiSeqV2.gz"
    )
    assert there("https://x.org/geo/?acc=GSE1&format=file") == "d/x.org/geo/@acc=GSE1&format=file"
    assert there("https://x.org") == "d/x.org/@"
    assert len(cache_path("https://x.org/a?" + "b" * 5000, "d").name) < 200


PIECE = st.text(alphabet="a.@/?%=&+:", max_size=4)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(PIECE, PIECE), min_size=2, max_size=2, unique=True))
def test_different_addresses_are_different_files_inside_the_folder(pairs):
    def address(path, query):
        path = path.replace("?", "").replace("%", "%25")
        return f"https://x.org/{path}" + (f"?{query}" if query else "")

    first, second = (address(*pair) for pair in pairs)
    one, two = cache_path(first, "/d"), cache_path(second, "/d")
    assert (one == two) == (first == second)
    for path in (one, two):
        assert path.parts[:3] == ("/", "d", "x.org")
        assert not {"..", "."} & set(path.parts)


def test_progress_names_bytes_and_time(server, get, monkeypatch):
    clock = iter(range(0, 10_000, 6))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    get(server.url("/a.gz"), low_speed=(0.0, 60.0))
    assert any(" of " in line and "%" in line and "s left" in line for line in get.lines)
    assert any(line.endswith("unverified") for line in get.lines)


def test_no_other_module_touches_the_network(repository):
    network = {"http", "requests", "socket", "ftplib", "aiohttp", "httpx", "urllib3"}
    for path in sorted((repository / "workflow").rglob("*.py")):
        if path.parent.name == "fetch":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            touched = [
                name
                for name in names
                if name.split(".")[0] in network or name.startswith("urllib.request")
            ]
            assert not touched, f"{path} imports {touched}"
