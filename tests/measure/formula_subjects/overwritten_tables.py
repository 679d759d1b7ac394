"""Networks with a buffer that a formula made, and that something else was written to later."""

import ctypes

import numpy as np
import torch
from chosen_tables import NUMBERS
from formula_tables import Added, Rope2d


def numbers_like(tensor):
    return torch.tensor(np.random.default_rng(3).normal(size=tuple(tensor.shape)), dtype=tensor.dtype)


class Overwritten(Added):
    """A formula's buffer that a state overwrites later."""

    def make(self):
        return Rope2d().table

    def __init__(self):
        super().__init__()
        self.change()

    def change(self):
        self.load_state_dict({"scale": torch.ones(1), "table": numbers_like(self.table)})


class Copied(Overwritten):
    def change(self):
        self.table.copy_(numbers_like(self.table))


class DataSwapped(Overwritten):
    def change(self):
        self.table.data = numbers_like(self.table)


class SetAnew(Overwritten):
    def change(self):
        self.table.set_(numbers_like(self.table))


class Assigned(Overwritten):
    def change(self):
        for i in range(200):
            self.table[i, i % 32] = NUMBERS[i]


class ByNumpy(Overwritten):
    def change(self):
        self.table.numpy()[:] = numbers_like(self.table).numpy()


class IntegersByNumpy(Overwritten):
    """Some integers of many, each within the range of the others."""

    def make(self):
        return torch.arange(8192).view(64, 128) * 5

    def change(self):
        self.table.numpy()[:4] = np.random.default_rng(3).integers(0, 40_000, (4, 128))


class ByAddress(Overwritten):
    def change(self):
        data = numbers_like(self.table).numpy()
        ctypes.memmove(self.table.data_ptr(), data.ctypes.data, data.nbytes)


class ByDlpack(Overwritten):
    def change(self):
        np.from_dlpack(self.table)  # read-only, or not
        torch.from_dlpack(self.table).numpy()[:] = numbers_like(self.table).numpy()


class ByStorage(Overwritten):
    def change(self):
        storage = self.table.untyped_storage()
        storage.copy_(numbers_like(self.table).untyped_storage())


class InParts(Overwritten):
    def change(self):
        with torch.no_grad():
            for row, other in zip(self.table, numbers_like(self.table), strict=True):
                row.mul_(0).add_(other)


class Thread(Added):
    """Changed in another thread, which nothing watches."""

    def make(self):
        import threading

        table = Rope2d().table
        thread = threading.Thread(target=lambda: table.copy_(numbers_like(table)))
        thread.start()
        thread.join()
        return table


class Unwatched(Added):
    def make(self):
        from torch.utils._python_dispatch import _disable_current_modes

        table = Rope2d().table
        with _disable_current_modes():
            table.copy_(numbers_like(table))
        return table
