"""An array in an ``.npy`` file, written piece by piece, whose file is there at the end or not at all."""

import errno
import math
import os
import shutil

import numpy as np

from ... import archive

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class OnDisk:
    """A float64 array of ``shape`` in the file ``path``; ``self[i, rows] = values`` writes a part of it.

    Room for all of it is reserved at once, so that a full disk shows before the work and not as a bus error
    within. It is written and not mapped: what is mapped and dirty counts as the process's memory. It stands beside
    the file, in whose place it comes when it is finished, so that whoever has the old one open keeps that.

    Raises
    ------
    OSError
        No room, or no such folder.
    """

    def __init__(self, path, shape, lead):
        """``lead``: whether the file's array has the first axis of ``shape`` (of length 1 where not)."""
        self.path, self.shape, self.lead = path, shape, lead
        with archive.named(path):
            self._new = archive.Beside(path)
            try:
                np.lib.format.write_array_header_1_0(self._new.stream, {
                    "descr": "<f8", "fortran_order": False, "shape": shape if lead else shape[1:]})
                self._begin = self._new.stream.tell()
                self._reserve(self._begin + 8 * math.prod(shape))
            except BaseException:
                self.discard()
                raise

    def _reserve(self, size):
        stream = self._new.stream
        stream.flush()
        try:
            if size > shutil.disk_usage(os.path.dirname(self._new.part)).free:
                raise OSError(errno.ENOSPC, "")
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(stream.fileno(), 0, size)
            else:
                stream.truncate(size)
        except OSError as error:
            if error.errno in _FULL:
                raise OSError(error.errno, f"no room for the {size:,} bytes of the paths", str(self.path)) from None
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise
            stream.truncate(size)  # a file system that reserves nothing

    def __setitem__(self, index, values):
        i, rows = index
        begin, end, _ = rows.indices(self.shape[1])
        part = self.shape[2:]
        data = np.ascontiguousarray(np.broadcast_to(values, (end - begin, *part)), dtype="<f8")
        with archive.named(self.path):
            self._new.stream.seek(self._begin + 8 * (i * self.shape[1] + begin) * math.prod(part))
            self._new.stream.write(memoryview(data.data).cast("B"))

    def finished(self):
        """The file in its place, and its array mapped."""
        with archive.named(self.path):
            self._new.replace()
            mapped = np.memmap(self.path, "<f8", "r+", self._begin, self.shape if self.lead else self.shape[1:])
        return mapped if self.lead else mapped[None]

    def discard(self):
        """No file."""
        self._new.discard()
