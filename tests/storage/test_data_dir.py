"""Who may use a data folder, and whose it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvd.errors import StorageError
from kvd.storage.data_dir import (
    DataDir,
    Identity,
    StorageSettings,
    decode_identity,
    encode_identity,
    refused,
)
from tests.storage.fakes import IDENTITY, FakeDisk, Machine, entries, state

IDS = st.integers(0, 2**64 - 1)


def test_data_dir_lock():
    machine = Machine().open()
    with pytest.raises(StorageError) as caught:
        Machine(machine.disk).open()
    assert caught.value.path == "/data/lock"
    assert "another kvd (process 4242) is using it" in str(caught.value)
    # It did not disturb the first, which lets go when it ends.
    machine.save(state(), entries(1, 1))
    machine.close()
    other = Machine(machine.disk).open()
    assert len(other.recovered.entries) == 1


def test_a_log_folder_of_its_own_is_locked_too():
    machine = Machine(wal_folder="/log").open()
    machine.save(state(), entries(1, 1))
    assert machine.disk.list("/log") == [f"{0:016x}-{1:016x}.wal", "lock"]
    machine.disk.inode("/log/lock").data.clear()
    settings = StorageSettings(data_folder="/other", wal_folder="/log")
    folders = DataDir(machine.disk, settings)
    with pytest.raises(StorageError) as caught:
        folders.open()
    assert str(caught.value) == "/log/lock: another kvd is using it"
    folders.release()
    machine.reopen()
    assert len(machine.recovered.entries) == 1


def test_an_unfinished_identity_is_written_anew():
    disk = FakeDisk()
    folders = DataDir(disk, StorageSettings(data_folder="/data"))
    assert folders.open() is None
    disk.create(folders.identity_path + ".tmp")
    folders.write_identity(Identity(3, 4))
    folders.release()
    assert folders.open() == Identity(3, 4)


def test_a_registration_is_known_again_and_no_other():
    disk = FakeDisk()
    folders = DataDir(disk, StorageSettings(data_folder="/data"))
    folders.open()
    assert not folders.has_registration("1 at x")
    folders.write_registration("2 at x")
    assert not folders.has_registration("1 at x")
    disk.create(folders.discovery_path + ".tmp")
    folders.write_registration("1 at x")
    assert folders.has_registration("1 at x")
    for other in ("1 at ", "1 at xx", "1 at y", ""):
        assert not folders.has_registration(other)
    # docs/design/disk-format
    data = bytes(disk.inode("/data/member/discovery").data)
    assert data == b"kvd 1\nregistered 1 at x\n"
    folders.release()
    assert folders.open() is None  # it is still nobody's


def test_a_registration_is_there_before_a_member_is_made():
    machine = Machine()
    assert machine.look().identity is None
    assert not machine.do(machine.persistence.has_registered("1 at x"))
    machine.do(machine.persistence.register("1 at x"))
    machine.disk.restart()
    assert machine.look().identity is None
    assert machine.do(machine.persistence.has_registered("1 at x"))


@given(member=IDS, cluster=IDS)
def test_an_identity_comes_back(member, cluster):
    identity = Identity(member_id=member, cluster_id=cluster)
    assert decode_identity(encode_identity(identity)) == (identity, None)
    old = Identity(member_id=cluster, cluster_id=member)
    assert decode_identity(encode_identity(identity, old)) == (identity, old)


def test_a_backup_is_told_from_a_member_until_somebody_claims_it():
    machine = Machine().open()
    machine.save(state(), entries(1, 1))
    machine.close()
    path = "/data/member/identity"
    old = Identity(3, 4)
    machine.set_bytes(path, encode_identity(IDENTITY, old))
    assert machine.look().backup_of == old
    machine.save(state(), entries(2, 2))
    machine.do(machine.persistence.claim())
    assert bytes(machine.bytes_of(path)) == encode_identity(IDENTITY)
    machine.close()
    found = machine.look()
    assert (found.identity, found.backup_of) == (IDENTITY, None)
    assert len(found.entries) == 2


def test_these_bytes_are_the_format():
    assert encode_identity(IDENTITY) == (
        b"kvd 1\nmember 8e9e05c52164694d\ncluster cdf818194e3a8c32\ncrc32 68d1cc45\n"
    )
    assert encode_identity(Identity(0x1234, 0x5678), IDENTITY) == (
        b"kvd 1\nmember 1234\ncluster 5678\n"
        b"backup of 8e9e05c52164694d cdf818194e3a8c32\ncrc32 45361202\n"
    )


@given(data=st.binary(max_size=80), at=st.integers(0, 60), byte=st.integers(0, 255))
def test_a_changed_identity_is_refused(data, at, byte):
    with pytest.raises(ValueError):
        decode_identity(data)
    good = encode_identity(Identity(member_id=77, cluster_id=1 << 60))
    bad = bytearray(good)
    bad[at % len(bad)] = byte
    if bad != good:
        with pytest.raises(ValueError):
            decode_identity(bytes(bad))
    good = encode_identity(IDENTITY, Identity(5, 6))
    for line in (b"backup of 5", b"backup of 5 6 7", b"backup of 5 x", b"backup"):
        with pytest.raises(ValueError):
            decode_identity(good.replace(b"backup of 5 6", line))


def test_an_error_of_the_system_names_its_file():
    assert str(refused(OSError(2, "No such file", "/x"))) == "/x: No such file"
    assert str(refused(OSError("odd"), "/y")) == "/y: odd"
    assert str(refused(OSError())) == "failed"
