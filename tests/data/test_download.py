"""Files are found, fetched, or asked for in one sentence; what was computed is kept."""

import hashlib
import logging
import os

import numpy as np
import pooch
import pytest
import requests

from nopal.data.download import cache_folder, cached, data_folder, fetch, write_npz
from nopal.errors import NopalError

URL = "https://example.invalid/set/numbers.zip"


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("NOPAL_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("NOPAL_CACHE", str(tmp_path / "cache"))


def serve(monkeypatch, answer):
    """Stands in for the network: `answer` is the content, or the error that the connection ends with."""

    def download(self, url, output, *_):
        if isinstance(answer, Exception):
            raise answer
        output = output if hasattr(output, "write") else open(output, "wb")  # noqa: SIM115
        output.write(answer)
        output.close()

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", download)


def md5(content: bytes) -> str:
    return f"md5:{hashlib.md5(content).hexdigest()}"


def test_folders_follow_the_environment(tmp_path, monkeypatch):
    assert (data_folder(), cache_folder()) == (tmp_path / "data", tmp_path / "cache")
    monkeypatch.delenv("NOPAL_DATA")
    monkeypatch.delenv("NOPAL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert data_folder() == pooch.os_cache("nopal")
    assert data_folder() in cache_folder().parents


def test_a_file_that_is_there_is_taken_as_it_is(tmp_path, monkeypatch):
    serve(monkeypatch, AssertionError("nothing should be downloaded"))
    path = tmp_path / "data" / "set" / "numbers.zip"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"packed by somebody else")
    assert fetch("set/numbers.zip", URL, md5(b"official")) == path


def test_a_missing_file_is_downloaded_quietly(tmp_path, monkeypatch, capfd):
    serve(monkeypatch, b"official")
    level = pooch.get_logger().level
    assert fetch("set/numbers.zip", URL, md5(b"official")).read_bytes() == b"official"
    assert capfd.readouterr() == ("", "")
    assert pooch.get_logger().level == level != logging.ERROR


def test_other_content_is_refused_and_not_kept(tmp_path, monkeypatch):
    serve(monkeypatch, b"half of it")
    with pytest.raises(NopalError, match="its content is not the published one"):
        fetch("set/numbers.zip", URL, md5(b"official"))
    assert not list((tmp_path / "data").rglob("*.zip"))


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (requests.exceptions.ConnectionError("no name"), "no connection"),
        (requests.exceptions.ConnectTimeout("slow"), "no connection"),
        (requests.exceptions.HTTPError(response=type("Answer", (), {"status_code": 404})()), "the server answered 404"),
        (PermissionError(13, "denied"), "the folder can't be written"),
        (OSError(28, "No space left on device"), "No space left on device"),
    ],
)
def test_a_failure_says_what_to_put_where(tmp_path, monkeypatch, error, why):
    serve(monkeypatch, error)
    with pytest.raises(NopalError) as caught:
        fetch("set/numbers.zip", URL, md5(b"official"))
    sentence = str(caught.value)
    for part in ("set/numbers.zip", URL, why, str(tmp_path / "data" / "set" / "numbers.zip"), "NOPAL_DATA"):
        assert part in sentence


def test_what_was_computed_is_kept_until_its_source_changes(tmp_path):
    source = tmp_path / "source"
    source.write_text("1")
    calls = []

    def compute():
        calls.append(source.read_text())
        return {"x": np.array([int(source.read_text())])}

    assert [cached("set", [source], compute)["x"].item() for _ in range(3)] == [1, 1, 1]
    source.write_text("22")
    assert cached("set", [source], compute)["x"].item() == 22
    assert calls == ["1", "22"]


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NOPAL_CACHE", str(tmp_path / "file"))
    assert cached("set", [], lambda: {"x": np.ones(2)})["x"].tolist() == [1, 1]


def test_bytes_that_are_not_compressed_are_mapped(tmp_path):
    arrays = {"x": np.arange(24, dtype=np.uint8).reshape(2, 3, 4), "y": np.array([5, 6]), "names": np.array(["ä", "b"])}
    for _ in range(2):
        found = cached("set", [], lambda: arrays, compress=False)
        assert found.keys() == arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array, strict=True)
    assert isinstance(found["x"], np.memmap)
    (path,) = (tmp_path / "cache").iterdir()
    path.write_bytes(path.read_bytes()[:-100])
    assert cached("set", [], lambda: {"x": np.zeros(3)}, compress=False)["x"].tolist() == [0, 0, 0]


def test_nothing_half_written_stays(tmp_path):
    path = tmp_path / "new" / "file.npz"
    with pytest.raises(ValueError, match="allow_pickle"):
        write_npz(path, {"a": np.ones(3), "b": np.array([{}], object)})
    assert not list(path.parent.iterdir())
    write_npz(path, {"a": np.ones(3)})
    assert os.listdir(path.parent) == ["file.npz"]
