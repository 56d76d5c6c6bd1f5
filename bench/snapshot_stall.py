"""
How long a member with many keys stands still while it takes a snapshot.

Run from the root of the project::

    python bench/snapshot_stall.py --keys 1000000

All keys lie in one directory, the worst case. Writes go on between any two slices of
the snapshot, and every slice and every write is timed by itself. Also printed: the
rate of loading and restoring, memory for each key, and the pauses of Python's garbage
collector. If ``immutables`` is installed, its persistent map is measured beside the
store's own tree. Nothing is written to the disk; about 1 KiB of memory a key. Times are of this thread's processor, so that a
busy machine does not distort them.
"""

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from kvd.state import at_once
from kvd.v2.commands import Command, Op, encode_command
from kvd.v2.machine import V2
from kvd.v2.tree import Directory, make_file

KEYS_MAX = 5_000_000
VALUE_BYTES = 32
# Between two slices; at 10,000 writes a second a slice of 1 ms meets ten.
WRITES_A_SLICE = 10


def resident_bytes() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


class Pauses:
    """The longest of many short stretches of time, and which one it was."""

    def __init__(self) -> None:
        self.each: list[float] = []

    def run(self, work: Callable[[], object]) -> object:
        begin = time.thread_time()
        result = work()
        self.each.append(time.thread_time() - begin)
        return result

    def __str__(self) -> str:
        ordered = sorted(self.each)
        p99 = ordered[int(len(ordered) * 0.99)]
        return (
            f"longest {ordered[-1] * 1e3:8.2f} ms   p99 {p99 * 1e3:7.3f} ms   "
            f"median {statistics.median(ordered) * 1e3:7.4f} ms   n {len(ordered)}"
        )


class CollectorPauses:
    """How long each run of the garbage collector took, by generation."""

    def __init__(self) -> None:
        self.longest = [0.0, 0.0, 0.0]
        self._begun = 0.0
        gc.callbacks.append(self._seen)

    def _seen(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._begun = time.thread_time()
        else:
            took = time.thread_time() - self._begun
            generation = info["generation"]
            self.longest[generation] = max(self.longest[generation], took)

    def __str__(self) -> str:
        shown = "  ".join(
            f"gen{generation} {longest * 1e3:.1f} ms"
            for generation, longest in enumerate(self.longest)
        )
        self.longest = [0.0, 0.0, 0.0]
        return shown


def set_body(number: int, generation: int) -> bytes:
    value = f"{generation:x}-{number:x}-".ljust(VALUE_BYTES, "v")
    return encode_command(Command(Op.SET, f"/one/directory/key-{number:07d}", value))


def write(store: V2, number: int, generation: int) -> None:
    store.apply(index=1, time_ns=0, body=set_body(number, generation))


def load(keys: int, collector: CollectorPauses) -> V2:
    before = resident_bytes()
    store = V2()
    applied = Pauses()
    begin = time.thread_time()
    for number in range(keys):
        body = set_body(number, 0)
        applied.run(lambda body=body: store.apply(index=1, time_ns=0, body=body))
    took = time.thread_time() - begin
    del applied.each[:1000]  # the interpreter warming up
    print(f"load      {keys / took:10.0f} keys/s")
    print(f"  apply     {applied}")
    print(f"  collector {collector}")
    used = resident_bytes() - before - 8 * keys  # the timings themselves
    print(f"  memory    {used / keys:8.0f} bytes a key, {used >> 20} MiB")
    return store


def snapshot(store: V2, keys: int, collector: CollectorPauses) -> list[bytes]:
    before = resident_bytes()
    slices, writes = Pauses(), Pauses()
    begin = time.thread_time()
    section = slices.run(store.snapshot)
    chunks: list[bytes] = []
    number = 0
    while True:
        chunk = slices.run(lambda: next(section.chunks, None))
        if chunk is None:
            break
        chunks.append(chunk)
        for _ in range(WRITES_A_SLICE):
            number = (number + 7919) % keys
            body = set_body(number, 1)
            writes.run(lambda body=body: store.apply(index=1, time_ns=0, body=body))
    slices.run(section.chunks.close)
    took = time.thread_time() - begin
    size = sum(map(len, chunks))
    print(f"snapshot  {took:8.2f} s with the writes, {size >> 20} MiB")
    print(f"  slice     {slices}")
    print(f"  write     {writes}")
    print(f"  collector {collector}")
    print(f"  memory    {(resident_bytes() - before - size) >> 20} MiB more")
    return chunks


def restore(
    chunks: list[bytes], keys: int, collector: CollectorPauses, *, collecting: bool
) -> V2:
    if not collecting:
        gc.disable()
    store, steps = V2(), Pauses()
    begin = time.thread_time()
    restoring = store.restoring(version=1, chunks=chunks)
    while True:
        try:
            steps.run(restoring.__next__)
        except StopIteration as done:
            steps.run(done.value)
            break
    took = time.thread_time() - begin
    gc.enable()
    print(
        f"restore   {took:8.2f} s, {keys / took:10.0f} keys/s, "
        f"collector {'on' if collecting else 'off'}: {collector}"
    )
    print(f"  step      {steps}")
    return store


def collect(name: str) -> None:
    begin = time.thread_time()
    gc.collect()
    print(f"collect   {(time.thread_time() - begin) * 1e3:8.1f} ms  {name}")


def timed(name: str, work: Iterator[object]) -> None:
    begin = time.thread_time()
    count = sum(1 for _ in work)
    each = (time.thread_time() - begin) / count
    print(f"  {name:38} {each * 1e6:7.2f} us")


def compare(keys: int) -> None:
    """The store's directories beside a hash array mapped trie in C, same keys."""
    try:
        import immutables
    except ImportError:
        print("immutables is not installed: not compared")
        return
    names = [f"key-{number:07d}" for number in range(0, keys, 7)]
    node = make_file("v" * VALUE_BYTES, created=1, modified=1, expiration_ns=None)
    directory = Directory(created=1, modified=1, expiration_ns=None, epoch=0)
    for number in range(keys):
        directory.put(f"key-{number:07d}", node)
    collect("before the persistent map")
    before = resident_bytes()
    begin = time.thread_time()
    trie = immutables.Map({f"key-{number:07d}": node for number in range(keys)})
    print(f"immutables.Map: built in {time.thread_time() - begin:.2f} s")
    print(f"  memory {(resident_bytes() - before) / keys:.0f} bytes a key (no values)")
    collect("with the persistent map as well")

    def set_all(trie: object) -> Iterator[object]:
        for name in names:
            trie = trie.set(name, node)
            yield trie

    timed("get, buckets", (directory.get(name) for name in names))
    timed("get, immutables", (trie[name] for name in names))
    timed("put, buckets, present epoch", (directory.put(name, node) for name in names))
    directory = directory.clone(1)
    timed(
        "put, buckets, first after a snapshot",
        (directory.put(name, node) for name in names),
    )
    timed("put, immutables", set_all(trie))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--check", action="store_true", help="compare digests (slow)")
    keys = parser.parse_args().keys
    if not 1000 <= keys <= KEYS_MAX:
        parser.error(f"--keys must be from 1000 to {KEYS_MAX}")
    collector = CollectorPauses()
    store = load(keys, collector)
    collect("everything looked at")
    gc.freeze()
    gc.collect()
    collect("after gc.freeze()")
    chunks = snapshot(store, keys, collector)
    collect("after the snapshot")
    copy = restore(chunks, keys, collector, collecting=True)
    del copy
    copy = restore(chunks, keys, collector, collecting=False)
    if parser.parse_args().check:
        section = store.snapshot()
        again = V2()
        at_once(again.restoring(version=section.version, chunks=section.chunks))
        print(f"equal     {again.digest() == store.digest()}")
    del copy, chunks
    del store
    gc.unfreeze()
    compare(keys)


if __name__ == "__main__":
    main()
