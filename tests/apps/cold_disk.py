"""A disk that makes its readers wait: files of any name (`/N` has N bytes, and the byte at each offset is told by it), of
which nothing can be read until the gate, a file of the real disk, is there.

    cold_disk.py MOUNT-POINT GATE STATE [allow_other]

STATE tells how many readings wait.
"""

import errno
import os
import stat
import sys
import threading
import time

try:
    from fusepy import FUSE, FuseOSError, Operations
except ImportError:
    from fuse import FUSE, FuseOSError, Operations

PATIENCE = 60


class ColdDisk(Operations):
    def __init__(self, gate, state):
        self.gate, self.state = gate, state
        self.counting, self.waiting = threading.Lock(), 0

    def count(self, more):
        with self.counting:
            self.waiting += more
            with open(self.state + ".new", "w") as file:
                file.write(str(self.waiting))
            os.rename(self.state + ".new", self.state)

    def getattr(self, path, fh=None):
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        size = path.strip("/").split("-")[0]
        if not size.isdigit():
            raise FuseOSError(errno.ENOENT)
        return {"st_mode": stat.S_IFREG | 0o644, "st_nlink": 1, "st_size": int(size), "st_mtime": 1e9}

    def read(self, path, size, offset, fh):
        self.count(1)
        over = time.monotonic() + PATIENCE
        while not os.path.exists(self.gate) and time.monotonic() < over:
            time.sleep(0.01)
        self.count(-1)
        end = min(offset + size, int(path.strip("/").split("-")[0]))
        return bytes(at // 4096 % 256 for at in range(offset, end))


options = {name: True for name in sys.argv[4:]}
FUSE(ColdDisk(sys.argv[2], sys.argv[3]), sys.argv[1], foreground=True, ro=True, attr_timeout=60, entry_timeout=60, **options)
