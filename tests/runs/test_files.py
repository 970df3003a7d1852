"""Text files of names as file systems have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nopal import NopalError
from nopal.runs.files import check_writable, read_json, write_json, write_text


def test_names_that_are_no_utf8_keep_their_bytes(tmp_path: Path) -> None:
    assert write_text(tmp_path / "a.csv", "é,latin\udcff\n").read_bytes() == "é,".encode() + b"latin\xff\n"


def test_json_holds_names_that_are_no_utf8(tmp_path: Path) -> None:
    named = {"images": "é latin\udcff"}
    path = write_json(tmp_path / "a.json", named)
    assert read_json(path) == named
    assert "é latin\\udcff" in path.read_text(encoding="utf-8")


def test_names_that_are_too_long_are_refused_at_once(tmp_path: Path) -> None:
    for path in (tmp_path / ("a" * 300), tmp_path / ("a" * 300) / "b.csv"):
        with pytest.raises(NopalError, match=r"can't be opened \(File name too long\)"):
            check_writable(path)


def test_folders_that_may_not_be_looked_into_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stat(path: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "stat", stat)
        with pytest.raises(NopalError, match=r"a\.csv can't be opened \(Permission denied\)"):
            check_writable(tmp_path / "a.csv")
