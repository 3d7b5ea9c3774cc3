"""Tests of the reader of DeepLabCut's files and projects."""

import re

import numpy as np
import pytest

from input_pipeline.readers import annotation_files
from input_pipeline.readers.formats import deeplabcut, pandas_files
from tests.input_pipeline.readers.files import draw, paths

HEADINGS = "scorer,S,S,S,S\nbodyparts,snout,snout,tail,tail\ncoords,x,y,x,y\n"
ROWS = "labeled-data/v/img0.png,1,2.5,,\nlabeled-data/v/img1.png,3,4,10.25,20\n"
POINTS = [[[1.5, 3], [0, 0]], [[3.5, 4.5], [10.75, 20.5]]]
ANIMALS = (
    "scorer,,,S,S,S,S,S,S\nindividuals,,,one,one,one,one,two,two\nbodyparts,,,a,a,b,b,a,a\n"
    "coords,,,x,y,x,y,x,y\nlabeled-data,v,img0.png,1,2,5,6,20,30\nlabeled-data,v,img1.png,,,,,7,8\n"
)


@pytest.fixture
def project(tmp_path):
    """A project with two frames of a video; a function writes its table."""
    draw(tmp_path, "labeled-data/v/img0.png", "labeled-data/v/img1.png")
    (tmp_path / "config.yaml").write_text("bodyparts: [snout, tail]\nskeleton:\n- [snout, tail]\n")

    def write(text=HEADINGS + ROWS):
        (tmp_path / "labeled-data/v/CollectedData_S.csv").write_text(text)
        return tmp_path / "labeled-data/v/CollectedData_S.csv"

    return tmp_path, write


def quoted(text):
    return "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in text.splitlines())


def check(found, folder):
    assert found.paths == paths(folder, "labeled-data/v/img0.png", "labeled-data/v/img1.png")
    np.testing.assert_array_equal(found.landmarks, POINTS)
    np.testing.assert_array_equal(found.annotated, [[1, 0], [1, 1]])
    assert found.landmark_names == ("snout", "tail") and found.boxes is None


def test_pixels_are_counted_at_their_centres(project):
    folder, write = project
    file = write()
    assert annotation_files.kind_of(file) == "deeplabcut"
    check(annotation_files.read(folder, file), folder)
    check(annotation_files.read(folder / "labeled-data/v", file), folder)  # names are found in the project itself
    check(annotation_files.read("elsewhere", file), folder)


def test_names_may_stand_in_three_columns_and_columns_in_any_order(project):
    folder, write = project
    file = write(
        "scorer,,,S,S,S,S\nbodyparts,,,snout,tail,tail,snout\ncoords,,,y,x,y,x\n"
        "labeled-data,v,img0.png,2.5,,,1\nlabeled-data,v,img1.png,4,10.25,20,3\n"
    )
    check(deeplabcut.read_file(folder, file), folder)


@pytest.mark.parametrize("saved", [lambda t: t.replace(",", ";"), lambda t: t.replace(",", "\t"), quoted])
def test_what_a_spreadsheet_has_saved_is_known(project, saved):
    folder, write = project
    file = write(saved(HEADINGS + ROWS))
    assert annotation_files.kind_of(file) == "deeplabcut"
    check(annotation_files.read(folder, file), folder)
    assert not deeplabcut.holds(str(write(saved("file,x0,y0\nlabeled-data/v/img0.png,1,2\n"))))
    assert not deeplabcut.holds(str(write('scorer,S,S\n"bodyparts')))


def test_what_was_analysed_has_likelihood_too(project, capsys):
    folder, write = project
    rows = "labeled-data/v/img0.png,1,2.5,0.9\n"
    found = deeplabcut.read_file(folder, write("scorer,S,S,S\nbodyparts,a,a,a\ncoords,x,y,likelihood\n" + rows))
    np.testing.assert_array_equal(found.landmarks, [[[1.5, 3]]])
    assert (
        "has the likelihood of what was predicted; it is passed over, and all places are read"
        in capsys.readouterr().out
    )


def test_a_project_is_read_with_its_skeleton(project):
    folder, write = project
    write()
    assert annotation_files.kind_of(folder) == "deeplabcut"
    found = annotation_files.read(folder, folder)
    check(found, folder)
    assert found.skeleton == ((0, 1),)


def test_videos_of_a_project_are_not_taken_for_one_another(project):
    folder, write = project
    write()
    draw(folder, "flat/img0.png", "flat/img1.png")
    (folder / "labeled-data/w").mkdir()
    (folder / "labeled-data/w/CollectedData_S.csv").write_text(HEADINGS + ROWS.replace("/v/", "/w/"))
    with pytest.raises(ValueError, match="w/CollectedData_S.csv, line 4: there is no picture .*data/w/img0.png"):
        deeplabcut.read_file(folder / "flat", folder)


def test_two_files_of_a_project_do_not_have_one_picture(project):
    folder, write = project
    write()
    (folder / "labeled-data/w").mkdir()
    (folder / "labeled-data/w/CollectedData_S.csv").write_text(HEADINGS + ROWS)
    with pytest.raises(ValueError, match="labeled-data/v/img0.png has several rows in .*; leave one"):
        deeplabcut.read_file(folder, folder)


def test_animals_of_one_picture_are_in_boxes(project):
    folder, write = project
    found = deeplabcut.read_file(folder, write(ANIMALS))
    names = ("labeled-data/v/img0.png", "labeled-data/v/img0.png", "labeled-data/v/img1.png")
    assert found.paths == paths(folder, *names) and found.boxes.shape == (3, 4)
    np.testing.assert_array_equal(found.annotated, [[1, 1], [1, 0], [1, 0]])
    np.testing.assert_array_equal(found.landmarks[:, 0], [[1.5, 2.5], [20.5, 30.5], [7.5, 8.5]])
    np.testing.assert_array_equal(found.objects[0], [1.5, 2.5, 5.5, 6.5])


@pytest.mark.parametrize("levels", [1, 3])
def test_h5_files_say_the_same(project, levels):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("tables")
    folder, _ = project
    columns = pandas.MultiIndex.from_product(
        [["S"], ["snout", "tail"], ["x", "y"]], names=["scorer", "bodyparts", "coords"]
    )
    names = [("labeled-data", "v", f"img{k}.png") for k in range(2)]
    index = pandas.MultiIndex.from_tuples(names) if levels == 3 else ["/".join(name) for name in names]
    table = pandas.DataFrame([[1, 2.5, np.nan, np.nan], [3, 4, 10.25, 20]], index=index, columns=columns)
    file = folder / "labeled-data/v/CollectedData_S.h5"
    table.to_hdf(file, key="df_with_missing", mode="w")
    assert annotation_files.kind_of(file) == "deeplabcut"
    check(annotation_files.read(folder, file), folder)
    check(annotation_files.read(folder, folder), folder)


def test_h5_files_that_run_programs_are_refused(tmp_path):
    h5py = pytest.importorskip("h5py")
    pytest.importorskip("tables")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_group("df").attrs["pandas_type"] = np.bytes_(b"cos\nsystem\n(S'true'\ntR.")
    assert annotation_files.kind_of(tmp_path / "a.h5") == "deeplabcut"
    with pytest.raises(ValueError, match="a.h5: .*holds Python objects, which could run a program: os.system"):
        deeplabcut.read_file(tmp_path, tmp_path / "a.h5")


def test_what_is_missing_for_h5_files_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(ValueError, match=r'with PyTables, which is not installed: pip install "dense-labels\[h5\]"'):
        pandas_files.read_table(tmp_path / "a.h5")


@pytest.mark.parametrize(
    "text, message",
    [
        (HEADINGS, "CollectedData_S.csv has no landmark in any picture"),
        ("scorer,S\nbodyparts,a\n", "three rows of headings are expected, scorer, bodyparts and coords"),
        (HEADINGS.replace("x,y,x,y", "x,y,x,x") + ROWS, "columns x and y of each body part"),
        (HEADINGS.replace("x,y,x,y", "x,y,x,z") + ROWS, "columns x and y of each body part"),
        (HEADINGS.replace("tail,tail", "snout,snout") + ROWS, "columns x and y of each body part"),
        (
            HEADINGS.replace("S,S,S,S", "S,S,S") + ROWS,
            "line 3: all rows of headings must have the same number of cells",
        ),
        (HEADINGS + "labeled-data/v/img0.png,1,2\n", "line 4: 5 cells are expected, as in the headings; found 3"),
        (
            HEADINGS + "labeled-data/v/img0.png,1,,3,4\n",
            "line 4: x and y of snout must both be numbers, or both be empty",
        ),
        (HEADINGS + "labeled-data/v/img0.png,1,up,3,4\n", "line 4: snout y: a number is expected; found 'up'"),
        (HEADINGS + "labeled-data/v/img7.png,1,2,3,4\n", "line 4: there is no picture"),
        (HEADINGS + "0,1,2,3,4\n1,1,2,3,4\n", "its rows are numbers of frames, as of an analysed video"),
        (HEADINGS + ROWS + ROWS, "labeled-data/v/img0.png has several rows in"),
    ],
)
def test_deeplabcut_errors_name_the_line(project, text, message):
    folder, write = project
    with pytest.raises(ValueError, match=re.escape(message)):
        deeplabcut.read_file(folder, write(text))
    with pytest.raises(ValueError, match="v has 2 files CollectedData_"):
        (folder / "labeled-data/v/CollectedData_T.csv").write_text(HEADINGS)
        deeplabcut.read_file(folder, folder)


def test_copies_that_deeplabcut_leaves_beside_the_file_of_the_scorer_are_passed_over(project, capsys):
    """As where it converts a project; in a configuration of Windows, whose names are not in UTF-8."""
    folder, write = project
    write(HEADINGS + ROWS)
    (folder / "labeled-data/v/CollectedData_Swindows.csv").write_text(HEADINGS)
    (folder / "config.yaml").write_bytes(
        "scorer: S\nskeleton: [[snout, tail]]\nvideo_sets: {J\u00fcrgen: 1}".encode("cp1252")
    )
    assert len(deeplabcut.read_file(folder, folder)) and "read as cp1252" in capsys.readouterr().out
    (folder / "labeled-data/v/CollectedData_Swindows.csv").unlink()
    (folder / "config.yaml").write_text("scorer: [")
    assert len(deeplabcut.read_file(folder, folder))
    assert "config.yaml is not YAML" in capsys.readouterr().out


def test_landmarks_of_no_animal_are_objects_of_their_own(project, capsys):
    """DeepLabCut's "unique body parts", such as the corners of a box, are those of an individual called single."""
    folder, write = project
    rows = [line.split(",") for line in ANIMALS.replace("two,two", "single,single").splitlines()]
    rows[2][-2:] = "corner", "corner"

    def without(columns):
        """Writes the table with four columns empty, from one on."""
        kept = [[*row[:columns], *[""] * len(row[columns : columns + 4]), *row[columns + 4 :]] for row in rows[4:]]
        return write("".join(",".join(row) + "\n" for row in (*rows[:4], *kept)))

    file = without(9)  # nothing is left out
    animals = deeplabcut.read_file(folder, file)
    assert "corner" not in animals.landmark_names and animals.category == "" and animals.boxes is None
    assert "landmarks of no animal are left out; --category=single reads them alone" in capsys.readouterr().out
    corners = deeplabcut.read_file(folder, file, category="single")
    assert corners.landmark_names == ("corner",) and corners.category == "single" and not capsys.readouterr().out
    assert deeplabcut.read_file(folder, without(3)).landmark_names == ("corner",)  # there is nothing else
    assert not capsys.readouterr().out
    with pytest.raises(ValueError, match="no landmark in any picture"):
        deeplabcut.read_file(folder, without(7), category="single")


def test_a_project_without_labels_is_refused(project):
    with pytest.raises(
        ValueError, match="has no labeled-data/VIDEO/CollectedData_SCORER.csv or .h5; label some frames"
    ):
        deeplabcut.read_file(project[0], project[0])
