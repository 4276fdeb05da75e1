"""Reading a `.pth` file without PyTorch, and refusing one that would run code."""

from __future__ import annotations

import io
import pickle
import struct
import sys
import types
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nevus_core.errors import SettingsError
from nevus_workers.training.pretrained import convert
from nevus_workers.training.torch_file import MAGIC, PROTOCOL, read_torch_file


class Stored:
    """Stands for a tensor when a file is written: a shape, strides and an offset over one block of floats."""

    def __init__(self, key: str, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        self.key, self.offset, self.shape, self.strides = key, offset, shape, strides


def write(path: Path, state: Any, blocks: dict[str, np.ndarray[Any, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes what torch.save wrote before 1.6: five pickles, then each block as a count and its bytes."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    storage = type("FloatStorage", (), {"__module__": "torch"})
    torch.FloatStorage = storage

    def rebuild() -> None:
        """Named in the file, never called here."""

    rebuild.__module__, rebuild.__qualname__, rebuild.__name__ = "torch._utils", "_rebuild_tensor_v2", ""
    rebuild.__name__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = rebuild
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)

    class Block:
        def __init__(self, key: str) -> None:
            self.key = key

    class Writer(pickle.Pickler):
        def persistent_id(self, thing: Any) -> Any:
            if isinstance(thing, Block):
                return ("storage", storage, thing.key, "cpu", len(blocks[thing.key]), None)
            return None

        def reducer_override(self, thing: Any) -> Any:
            if isinstance(thing, Stored):
                return rebuild, (Block(thing.key), thing.offset, thing.shape, thing.strides, False, OrderedDict())
            return NotImplemented

    with path.open("wb") as file:
        for part in (MAGIC, PROTOCOL, {"little_endian": True}):
            pickle.dump(part, file, protocol=2)
        Writer(file, protocol=2).dump(state)
        pickle.dump(sorted(blocks), file, protocol=2)
        for _, block in sorted(blocks.items()):
            file.write(struct.pack("<q", len(block)) + block.astype("<f4").tobytes())


def test_arrays_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves names, shapes, strides and offsets, two arrays over one block included."""
    blocks = {"1": np.arange(12, dtype=np.float32), "2": np.array([5.0], np.float32)}
    state = OrderedDict(
        whole=Stored("1", 0, (3, 4), (4, 1)), turned=Stored("1", 2, (2, 3), (1, 4)), one=Stored("2", 0, (), ())
    )
    write(tmp_path / "a.pth", state, blocks, monkeypatch)
    found = read_torch_file(tmp_path / "a.pth")
    whole = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert np.array_equal(found["whole"], whole)
    assert np.array_equal(found["turned"], whole[:, 2:].T)
    assert found["one"] == 5
    with pytest.raises(SettingsError, match="_conv_stem"):
        convert(found)


def test_cut_off_or_of_another_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves a clear refusal at whatever byte the file ends, and of files of other kinds."""
    write(tmp_path / "a.pth", OrderedDict(a=Stored("1", 0, (4,), (1,))), {"1": np.ones(4)}, monkeypatch)
    whole = (tmp_path / "a.pth").read_bytes()
    for data in (*(whole[:end] for end in range(0, len(whole), 7)), b"PK\x03\x04" * 10, pickle.dumps([1, 2])):
        (tmp_path / "b.pth").write_bytes(data)
        with pytest.raises(SettingsError):
            read_torch_file(tmp_path / "b.pth")


class Evil:
    """Opens a file when it is unpickled by a reader that knows no better."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("place", [0, 2, 3])
def test_code_in_a_file_is_not_run(place: int, tmp_path: Path) -> None:
    """Proves that a file that names another function is refused before anything is called, wherever it stands."""
    parts: list[Any] = [MAGIC, PROTOCOL, {}, {}, []]
    parts[place] = Evil(tmp_path / "opened")
    file = io.BytesIO()
    for part in parts:
        pickle.dump(part, file, protocol=2)
    (tmp_path / "evil.pth").write_bytes(file.getvalue())
    with pytest.raises(SettingsError, match="open"):
        read_torch_file(tmp_path / "evil.pth")
    assert not (tmp_path / "opened").exists()
