"""What is written appears whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from policies.whole_files import put_in_place, whole_file, write_whole


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    for content in (b"first", b"second"):
        write_whole(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_whole(path, b"old")

    def interrupted() -> None:
        with whole_file(path) as staging:
            staging.write_bytes(b"half of the n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("there", [False, True])
def test_a_directory_takes_the_place_of_another_as_a_whole(tmp_path: Path, there: bool) -> None:
    staging, directory = tmp_path / "staging", tmp_path / "policies"
    staging.mkdir()
    (staging / "new").touch()
    if there:
        directory.mkdir()
        (directory / "old").touch()
    put_in_place(staging, directory)
    assert [path.name for path in directory.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [directory]


def test_what_interrupts_a_replacement_leaves_the_old_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    staging, directory = tmp_path / "staging", tmp_path / "policies"
    for folder, name in ((staging, "new"), (directory, "old")):
        folder.mkdir()
        (folder / name).touch()
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if self == staging:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        put_in_place(staging, directory)
    assert [path.name for path in directory.iterdir()] == ["old"]
