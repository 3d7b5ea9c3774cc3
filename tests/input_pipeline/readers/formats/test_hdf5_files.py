"""Tests of HDF5 files that somebody else has made: none runs a program, and none is read with another file."""

import pickle

import numpy as np
import pytest

from input_pipeline.readers.formats import hdf5_files, pandas_files

h5py = pytest.importorskip("h5py")
RUNS = "cos\nmkdir\n(S'{}'\ntR"  # a pickle, less its end, that makes a folder


@pytest.fixture
def table(tmp_path):
    """The file of a table, which can be read."""
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("tables")
    pandas.DataFrame(np.eye(2), columns=["a", "b"]).to_hdf(tmp_path / "a.h5", key="df")
    np.testing.assert_array_equal(pandas_files.read_table(tmp_path / "a.h5")[-1], np.eye(2))
    return tmp_path / "a.h5"


@pytest.mark.parametrize("begin", ["", "I0x1\n0"])  # the second is no pickle to `pickletools`
def test_an_attribute_runs_no_program(table, tmp_path, begin):
    with h5py.File(table, "r+") as file:
        file["df"].attrs["encoding"] = np.bytes_(f"{begin}{RUNS.format(tmp_path / 'made')}0S'UTF-8'\np0\n.")
    with pytest.raises(ValueError, match=r"a.h5: .* \(it holds Python objects, which could run a program: os.mkdir\)"):
        pandas_files.read_table(table)
    assert not (tmp_path / "made").exists()


def test_an_array_runs_no_program(table, tmp_path):
    """PyTables unpickles what says that it holds objects, and that too may be pickled."""
    import tables

    content = np.frombuffer(f"{RUNS.format(tmp_path / 'made')}.".encode(), np.uint8)
    with h5py.File(table, "r+") as file:
        del file["df/block0_values"]
        array = file.create_dataset("df/block0_values", (1,), h5py.vlen_dtype(np.uint8), maxshape=(None,), chunks=(1,))
        array[0] = content
        about = {"CLASS": "VLARRAY", "VERSION": "1.4", "TITLE": "", "PSEUDOATOM": "Vobject\np0\n."}
        array.attrs.update({name: np.bytes_(value) for name, value in about.items()})
    with pytest.raises(ValueError, match="it holds Python objects, which could run a program: os.mkdir"):
        pandas_files.read_table(table)
    assert not (tmp_path / "made").exists()
    assert tables.atom.pickle is tables.attributeset.pickle is pickle  # for others


def link(file, other):
    file["names"] = h5py.ExternalLink(other, "names")


def external(file, other):
    file.create_dataset("deep/names", (3,), "S1", external=[(str(other), 0, 3)])


def virtual(file, other):
    layout = h5py.VirtualLayout((3,), "S1")
    layout[:] = h5py.VirtualSource(other, "names", (3,), "S1")
    file.create_virtual_dataset("names", layout)


@pytest.mark.parametrize("take", [link, external, virtual])
def test_data_of_other_files_are_not_read(tmp_path, take):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["names"] = np.bytes_(["a", "b", "c"])
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["fine"] = [1]
        file["again"] = h5py.SoftLink("fine")
        file["nowhere"] = h5py.SoftLink("not there")
    hdf5_files.check(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        take(file, tmp_path / "other.h5")
    with pytest.raises(ValueError, match="^it takes .*names from (other files|another file, .*other.h5)$"):
        hdf5_files.check(tmp_path / "a.h5")
