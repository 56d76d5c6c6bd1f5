"""A disk that loses power, a worker that runs when told, and a storage on both."""

from __future__ import annotations

import errno
from collections import deque
from random import Random

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from kvd.errors import StorageError
from kvd.raft.messages import (
    Configuration,
    Entry,
    EntryKind,
    HardState,
    SnapshotMeta,
)
from kvd.storage.open import Identity, StorageSettings, open_storage

SECTOR = 16
FOLDER = "/data"
WAL = f"{FOLDER}/member/wal"
SNAP = f"{FOLDER}/member/snap"
IDENTITY = Identity(member_id=0x8E9E05C52164694D, cluster_id=0xCDF818194E3A8C32)
THREE = Configuration(voters=frozenset({1, 2, 3}), learners=frozenset({9}))


class PowerCut(BaseException):
    """Nothing of ours runs after it."""


class Inode:
    def __init__(self):
        self.data = bytearray()
        self.synced = 0


class Folder:
    def __init__(self):
        self.names = {}
        self.durable = {}
        self.steps = []

    def change(self, changes):
        self.steps.append(changes)
        change(self.names, changes)

    def sync(self):
        self.durable = dict(self.names)
        self.steps.clear()


def change(names, changes):
    for name, inode in changes.items():
        if inode is None:
            names.pop(name, None)
        else:
            names[name] = inode


class FakeFile:
    def __init__(self, disk, inode, path):
        self.disk = disk
        self.inode = inode
        self.path = path

    def append(self, data):
        self.disk.called("append", self.path)
        room = self.disk.capacity - self.disk.used
        self.inode.data += data[: max(room, 0)]
        if len(data) > room:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.disk.cut_after_write()

    def sync(self):
        self.disk.called("sync", self.path)
        self.inode.synced = len(self.inode.data)

    def close(self):
        self.disk.calls.append(("close", self.path))


class FakeHeldFile:
    """What it held when the name was still there can be read; it sees later bytes."""

    def __init__(self, disk, inode):
        self.disk = disk
        self.inode = inode
        disk.holding += 1

    def size(self):
        return len(self.inode.data)

    def read(self, offset, size):
        if "read" in self.disk.failing:
            raise self.disk.failing["read"]
        return bytes(self.inode.data[offset : offset + size])

    def close(self):
        self.disk.holding -= 1


class FakeLock:
    def __init__(self, disk, path):
        self.disk = disk
        self.path = path

    def release(self):
        self.disk.locks.discard(self.path)


class FakeDisk:
    """
    Synced bytes and synced names survive :meth:`power_cut`; of the rest each sector
    and each step of a folder may or may not.

    :ivar cut_at: the power goes before so many changing calls from now; -1: never.
    :ivar failing: call -> the OSError it raises.
    :ivar calls: what was called, with its path.
    :ivar holding: how many files are held open.
    :ivar before_look: called before each listing, and before each holding of a file.
    """

    def __init__(self):
        self.folders = {"/": Folder()}
        self.locks = set()
        self.calls = []
        self.cut_at = -1
        self.failing = {}
        self.capacity = 1 << 40
        self.holding = 0
        self.before_look = lambda: None

    @property
    def used(self):
        return sum(
            len(inode.data)
            for folder in self.folders.values()
            for inode in folder.names.values()
        )

    def called(self, call, path):
        error = self.failing.get(call)
        if error is not None:
            self.calls.append((f"{call} failed", path))
            raise error
        if self.cut_at == 0:
            raise PowerCut
        self.cut_at -= 1
        self.calls.append((call, path))

    def cut_after_write(self):
        """As a place of its own: the bytes were given, and nothing came after."""
        if self.cut_at == 0:
            raise PowerCut
        self.cut_at -= 1

    def place(self, path):
        folder, _, name = path.rpartition("/")
        if folder and folder not in self.folders:
            raise FileNotFoundError(errno.ENOENT, "No such folder", folder)
        return self.folders[folder or "/"], name

    def inode(self, path):
        folder, name = self.place(path)
        if name not in folder.names:
            raise FileNotFoundError(errno.ENOENT, "No such file", path)
        return folder.names[name]

    # -- Disk -----------------------------------------------------------------

    def create(self, path):
        self.called("create", path)
        folder, name = self.place(path)
        if name in folder.names:
            raise FileExistsError(errno.EEXIST, "File exists", path)
        inode = Inode()
        folder.change({name: inode})
        return FakeFile(self, inode, path)

    def append_to(self, path):
        return FakeFile(self, self.inode(path), path)

    def size(self, path):
        if "size" in self.failing:
            raise self.failing["size"]
        return len(self.inode(path).data)

    def read(self, path, offset, size):
        if "read" in self.failing:
            raise self.failing["read"]
        return bytes(self.inode(path).data[offset : offset + size])

    def truncate(self, path, size):
        self.called("truncate", path)
        inode = self.inode(path)
        del inode.data[size:]
        inode.synced = size

    def hold(self, path):
        self.before_look()
        return FakeHeldFile(self, self.inode(path))

    def rename(self, old, new):
        self.called("rename", new)
        if old in self.folders:
            self.rename_folder(old, new)
            return
        inode = self.inode(old)
        folder, name = self.place(old)
        folder.change({name: None, self.place(new)[1]: inode})

    def rename_folder(self, old, new):
        if new in self.folders:
            self.check_empty(new)
        for path in list(self.folders):
            if path == old or path.startswith(old + "/"):
                self.folders[new + path.removeprefix(old)] = self.folders.pop(path)

    def remove_folder(self, path):
        self.called("remove_folder", path)
        self.check_empty(path)
        del self.folders[path]

    def check_empty(self, path):
        if path not in self.folders:
            raise FileNotFoundError(errno.ENOENT, "No such folder", path)
        inner = [each for each in self.folders if each.startswith(path + "/")]
        if inner or self.folders[path].names:
            raise OSError(errno.ENOTEMPTY, "Directory not empty", path)

    def remove(self, path):
        self.called("remove", path)
        self.inode(path)
        folder, name = self.place(path)
        folder.change({name: None})

    def exists(self, path):
        parent, _, name = path.rpartition("/")
        return parent in self.folders and name in self.folders[parent].names

    def list(self, folder):
        self.before_look()
        if folder not in self.folders:
            raise FileNotFoundError(errno.ENOENT, "No such folder", folder)
        return sorted(self.folders[folder].names)

    def make_folder(self, path, mode=0o700):
        assert mode == 0o700
        parts = path.strip("/").split("/")
        for depth in range(1, len(parts) + 1):
            self.folders.setdefault("/" + "/".join(parts[:depth]), Folder())

    def sync_folder(self, path):
        self.called("sync_folder", path)
        self.folders[path].sync()

    def lock(self, path):
        if path in self.locks:
            raise BlockingIOError(errno.EAGAIN, "locked", path)
        self.locks.add(path)
        folder, name = self.place(path)
        if name not in folder.names:
            inode = Inode()
            inode.data += b"4242\n"
            folder.change({name: inode})
        return FakeLock(self, path)

    def free_bytes(self, folder):
        if "free_bytes" in self.failing:
            raise self.failing["free_bytes"]
        assert folder in self.folders
        return self.capacity - self.used

    # -- what happens to it -----------------------------------------------------

    def power_cut(self, random):
        for folder in self.folders.values():
            for step in folder.steps:
                if random.randrange(2):
                    change(folder.durable, step)
            folder.names = dict(folder.durable)
            folder.steps.clear()
            for inode in folder.names.values():
                tear(inode, random)
        self.restart()

    def restart(self):
        self.locks.clear()
        self.cut_at = -1
        self.failing = {}


def tear(inode, random):
    """Each sector that no sync covered: there, zeros, or something old."""
    data, synced = inode.data, inode.synced
    end = random.randint(synced, len(data))
    del data[end:]
    at = synced
    while at < end:
        upto = min(end, (at // SECTOR + 1) * SECTOR)
        fate = random.randrange(4)
        if fate == 0:
            data[at:upto] = bytes(upto - at)
        elif fate == 1:
            data[at:upto] = random.randbytes(upto - at)
        at = upto
    inode.synced = end


class FakeWorker:
    """Jobs wait until :meth:`run_one`; the Deferred of one fires there, later."""

    def __init__(self):
        self.jobs = deque()
        self.stopped = False

    def call(self, job):
        if self.stopped:
            return fail(StorageError("the storage is closed"))
        done = Deferred()
        self.jobs.append((job, done))
        return done

    def stop(self):
        self.stopped = True
        done = Deferred()
        self.jobs.append((lambda: None, done))
        return done

    def run_one(self):
        job, done = self.jobs.popleft()
        try:
            result = job()
        except Exception:
            result = Failure()
        done.callback(result)

    def finish(self, deferred):
        """Run jobs until it fires; its result, or its failure raised."""
        results = []
        deferred.addBoth(results.append)
        while not results:
            self.run_one()
        if isinstance(results[0], Failure):
            results[0].raiseException()
        return results[0]


class Machine:
    """A disk, and the storage of one member on it, which can be opened again."""

    def __init__(self, disk=None, **settings):
        self.disk = disk or FakeDisk()
        self.settings = StorageSettings(
            data_folder=FOLDER,
            **{"segment_bytes": 1 << 30, "snapshots_keep": 5, "wals_keep": 1}
            | settings,
        )
        self.progress = []
        self.worker = FakeWorker()
        self.persistence = None
        self.recovered = None

    def open(self):
        """Open, and make the member if the folder is fresh."""
        self.look()
        if self.recovered.identity is None:
            self.do(self.persistence.initialise(IDENTITY))
        return self

    def look(self):
        self.worker = FakeWorker()
        opening = open_storage(
            disk=self.disk,
            worker=self.worker,
            settings=self.settings,
            progress=self.progress.append,
        )
        opened = self.do(opening)
        self.persistence, self.recovered = opened.persistence, opened.recovered
        return self.recovered

    def do(self, deferred):
        return self.worker.finish(deferred)

    def save(self, hard_state=None, entries=(), snapshot=None):
        self.do(self.persistence.save(hard_state, entries, snapshot))

    def close(self):
        self.do(self.persistence.close())

    def reopen(self):
        """The process ends without a word, and comes back."""
        self.disk.restart()
        return self.open()

    def write_snapshot(self, meta, content=b"content", *, received=False):
        make = self.persistence.receive_snapshot if received else None
        writer = (make or self.persistence.create_snapshot)(meta)
        for at in range(0, len(content), 5):
            self.do(writer.write(content[at : at + 5]))
        self.do(writer.commit())

    def read_snapshot(self):
        reader = self.do(self.persistence.open_snapshot())
        pieces = []
        while piece := self.do(reader.read(4)):
            pieces.append(piece)
        reader.close()
        return reader.meta, b"".join(pieces)

    # -- bytes ------------------------------------------------------------------

    def segments(self):
        return [f"{WAL}/{n}" for n in self.disk.list(WAL) if n.endswith(".wal")]

    def bytes_of(self, path):
        return self.disk.inode(path).data

    def set_bytes(self, path, data):
        inode = self.disk.inode(path)
        inode.data = bytearray(data)
        inode.synced = len(data)


def entry(index, term=1, data=None):
    data = b"entry %d of term %d" % (index, term) if data is None else data
    return Entry(index, term, EntryKind.NORMAL, data)


def entries(first, last, term=1):
    return tuple(entry(index, term) for index in range(first, last + 1))


def state(term=1, vote=1, commit=0):
    return HardState(term=term, vote=vote, commit=commit)


def meta_at(index, term=1, configuration=THREE):
    return SnapshotMeta(index=index, term=term, configuration=configuration)


def seeded(seed):
    return Random(seed)
