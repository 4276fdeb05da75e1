"""Reading the arrays of a `.pth` file without PyTorch, and without running anything that stands in it.

The file is a pickle, which may name any Python function. The reader here knows four names, all harmless, and refuses a
file that names another. The layout is that of torch.save before version 1.6 (torch/serialization.py, _legacy_save):
magic number, protocol, machine, then the object, the keys of its storages, and each storage as a count and its bytes.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from nevus_core.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
_TYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _Storage:
    """One block of numbers, filled after the pickle has been read."""

    def __init__(self, dtype: np.dtype[Any], count: int) -> None:
        self.values: NDArray[Any] = np.zeros(count, dtype)


class _Reader(pickle.Unpickler):
    """An unpickler that knows tensors, their storages, and nothing else."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Returns one of the names that a dictionary of tensors needs.

        Raises:
            SettingsError: any other name.
        """
        known: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            **{("torch", storage): dtype for storage, dtype in _TYPES.items()},
        }
        if (module, name) not in known:
            message = f"The weights file names {module}.{name}, which no weights need; it is not read."
            raise SettingsError(message)
        return known[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        """Returns the storage that an entry ("storage", type, key, place, count, view) stands for."""
        _, dtype, key, _, count, _ = pid
        return self.storages.setdefault(str(key), _Storage(dtype, int(count)))


def read_torch_file(path: Path) -> dict[str, NDArray[Any]]:
    """Returns name to array, of the dtypes and shapes stored.

    Args:
        path: What torch.save wrote of a dictionary of tensors, before PyTorch 1.6.

    Raises:
        SettingsError: the file is not of this kind, cut off, or names what no weights need.
    """
    try:
        with path.open("rb") as file:
            if (_Reader(file).load(), _Reader(file).load()) != (MAGIC, PROTOCOL):
                message = "This is no weights file of PyTorch before 1.6."
                raise SettingsError(message)
            _Reader(file).load()
            reader = _Reader(file)
            tensors = reader.load()
            for key in _Reader(file).load():
                _fill(reader.storages[key], file)
    except (OSError, EOFError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as error:
        message = "The weights file can't be read; it is cut off or of another kind."
        raise SettingsError(message) from error
    return {name: build() for name, build in tensors.items()}


def _fill(storage: _Storage, file: BinaryIO) -> None:
    """Reads a storage's numbers; raises ValueError where there are fewer or others than announced."""
    count = int(np.frombuffer(file.read(8), "<i8")[0])
    values = np.frombuffer(file.read(count * storage.values.itemsize), storage.values.dtype)
    storage.values[:] = values


def _tensor(storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> Any:
    """Returns a function that makes the array once its storage is filled; strides are in values."""

    def build() -> NDArray[Any]:
        part = storage.values[offset:]
        steps = tuple(step * part.itemsize for step in strides)
        return np.array(np.lib.stride_tricks.as_strided(part, shape, steps))

    return build
