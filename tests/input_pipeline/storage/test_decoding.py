import errno
import io
import os
import pathlib
import re
import runpy
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from benchmarks import picture_files
from input_pipeline.storage import decoding, listing

RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (90, 90, 90)


def four_colours(height=16, width=24):
    """Red, green, blue and grey quarters."""
    pixels = np.empty([height, width, 3], np.uint8)
    top, left = slice(height // 2), slice(width // 2)
    bottom, right = slice(height // 2, None), slice(width // 2, None)
    pixels[top, left], pixels[top, right], pixels[bottom, left], pixels[bottom, right] = RED, GREEN, BLUE, GREY
    return pixels


@pytest.mark.parametrize(
    "name, options, tolerance",
    [
        ("a.jpg", {"quality": 100, "subsampling": 0}, 3),
        ("a.png", {}, 0),
        ("a.webp", {"lossless": True}, 0),
        ("a.bmp", {}, 0),
        ("a.gif", {}, 0),
        ("a.tif", {}, 0),
        ("a.jpg", {"format": "PNG"}, 0),  # told by its content
        ("a.gif", {"save_all": True, "append_images": [Image.new("RGB", (24, 16), BLUE)]}, 0),  # the first frame
    ],
)
def test_colours_are_where_they_were_put(tmp_path, name, options, tolerance):
    path = tmp_path / name
    Image.fromarray(four_colours()).save(path, **options)
    found = decoding.read_picture(path)
    assert found.dtype == np.uint8
    np.testing.assert_allclose(found.astype(int), four_colours(), atol=tolerance)
    assert decoding.read_size(path) == (16, 24)
    assert listing.is_picture(name) and listing.is_picture(name.upper())


def palette_with_transparency(path):
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *BLUE])
    image.putpixel((1, 0), 1)
    image.save(path, transparency=1)


def sixteen_bits(path):
    Image.fromarray(np.array([[100 * 257, 65535]], np.uint16)).save(path)


def tiff(values, bits, kind=1):
    """A function that saves a TIFF of one row of grey values, of so many bits and of a sample format."""

    def save(path):
        count = len(values)
        if bits == 12:
            pixels = int("".join(f"{value:012b}" for value in values), 2).to_bytes(12 * count // 8, "big")
        else:
            pixels = np.array(values, {1: "<u", 2: "<i"}[kind] + str(bits // 8)).tobytes()
        tags = {256: count, 257: 1, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: len(pixels), 339: kind}
        start = 8 + len(pixels) + len(pixels) % 2
        content = struct.pack("<2sHI", b"II", 42, start) + pixels + b"\0" * (len(pixels) % 2)
        entries = b"".join(struct.pack("<HHII", tag, 4, 1, number) for tag, number in tags.items())
        path.write_bytes(content + struct.pack("<H", len(tags)) + entries + bytes(4))

    return save


def cmyk(path):
    image = Image.new("CMYK", (16, 8), (0, 255, 255, 0))
    image.paste((255, 255, 0, 0), (8, 0, 16, 8))
    image.save(path, quality=100)


def of_mode(mode, left, right, **options):
    def save(path):
        image = Image.new(mode, (2, 1), left)
        image.putpixel((1, 0), right)
        image.save(path, **options)

    return save


@pytest.mark.parametrize(
    "name, save, left, right",
    [
        ("1.png", of_mode("1", 0, 1), (0, 0, 0), (255, 255, 255)),
        ("l.png", of_mode("L", 7, 200), (7, 7, 7), (200, 200, 200)),
        ("p.png", palette_with_transparency, RED, (255, 255, 255)),
        ("p.gif", palette_with_transparency, RED, (255, 255, 255)),
        ("rgb.png", of_mode("RGB", RED, BLUE, transparency=BLUE), RED, (255, 255, 255)),
        ("la.png", of_mode("LA", (10, 255), (10, 0)), (10, 10, 10), (255, 255, 255)),
        ("rgba.png", of_mode("RGBA", (0, 0, 0, 51), (0, 255, 0, 255)), (204, 204, 204), GREEN),
        ("rgba.webp", of_mode("RGBA", (0, 0, 0, 51), (0, 255, 0, 255), lossless=True), (204, 204, 204), GREEN),
        ("16.png", sixteen_bits, (100, 100, 100), (255, 255, 255)),
        ("16.tif", sixteen_bits, (100, 100, 100), (255, 255, 255)),
        ("16 by hand.tif", tiff((100 * 257, 65535), 16), (100, 100, 100), (255, 255, 255)),
        ("12.tif", tiff((0, 1606, 2048, 4095), 12), (0, 0, 0), (255, 255, 255)),
        ("12 grey.tif", tiff((1606, 2409), 12), (100, 100, 100), (150, 150, 150)),  # 4095 / 255 times as much
        ("signed.tif", tiff((100 * 257, 127 * 257), 16, kind=2), (100, 100, 100), (127, 127, 127)),
        ("cmyk.jpg", cmyk, RED, BLUE),
    ],
)
def test_every_kind_of_pixel_becomes_rgb_over_white(tmp_path, name, save, left, right):
    save(tmp_path / name)
    found = decoding.read_picture(tmp_path / name).astype(int)
    np.testing.assert_allclose(found[0, [0, -1]], [left, right], atol=1)


# Where the pixel of row r and column c of the file is seen, in a picture of height h and width w: table 1 of JEITA
# CP-3451, "the 0th row is the visual right-hand side and the 0th column the visual top", and so on.
SEEN_AT = {
    1: lambda r, c, h, w: (r, c),
    2: lambda r, c, h, w: (r, w - 1 - c),
    3: lambda r, c, h, w: (h - 1 - r, w - 1 - c),
    4: lambda r, c, h, w: (h - 1 - r, c),
    5: lambda r, c, h, w: (c, r),
    6: lambda r, c, h, w: (c, w - 1 - r),
    7: lambda r, c, h, w: (h - 1 - c, w - 1 - r),
    8: lambda r, c, h, w: (h - 1 - c, r),
}


def save_turned(path, upright, orientation, **options):
    """Saves the pixels of an upright picture as a camera that was held otherwise would."""
    height, width = upright.shape[:2]
    rows, columns = np.indices((height, width) if orientation < 5 else (width, height))
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(upright[SEEN_AT[orientation](rows, columns, height, width)]).save(path, exif=exif, **options)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
@pytest.mark.parametrize("orientation", SEEN_AT)
def test_pictures_are_turned_upright(tmp_path, orientation, name):
    path = tmp_path / name
    save_turned(path, four_colours(), orientation, **{"quality": 100, "subsampling": 0} if name == "a.jpg" else {})
    np.testing.assert_allclose(decoding.read_picture(path).astype(int), four_colours(), atol=3)
    assert decoding.read_size(path) == (16, 24)
    assert decoding.read_orientation(path) == orientation


def test_a_size_is_that_of_the_picture_as_it_is_read(tmp_path):
    """Whatever turns it, and wherever in the file that stands."""
    kinds = (picture_files.jpegs, picture_files.pngs, picture_files.bmps, picture_files.others)
    for name, file, _ in (each for kind in kinds for each in kind()):
        (tmp_path / "a.file").write_bytes(file)
        try:
            picture = decoding.read_picture(tmp_path / "a.file")
        except decoding.PictureError:
            continue
        assert decoding.read_size(tmp_path / "a.file") == picture.shape[:2], name


def test_exif_data_that_cannot_be_read_are_passed_over(tmp_path):
    Image.fromarray(four_colours()).save(tmp_path / "a.png", exif=b"Exif\0\0nonsense")
    np.testing.assert_array_equal(decoding.read_picture(tmp_path / "a.png"), four_colours())


def noise():
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, [60, 80, 3], np.uint8))


def many_scans(path):
    """Saves a JPEG whose last scan is there another 64 times."""
    noise().save(path, progressive=True)
    file = path.read_bytes()
    path.write_bytes(file[:-2] + file[file.rindex(b"\xff\xda") : -2] * 64 + file[-2:])


def many_scans_of_two(path):
    """The same with another picture behind, as cameras do it, which makes it another format to Pillow."""
    many_scans(path)
    both = io.BytesIO()
    noise().save(both, "MPO", save_all=True, append_images=[noise()], progressive=True)
    file, two = path.read_bytes(), both.getvalue()
    path.write_bytes(two[: two.rindex(b"\xff\xda")] + file[file.index(b"\xff\xda") :])


def cut_off(path):
    noise().save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def huge(side):
    """Saves a small PNG file whose header says that it is large."""

    def save(path):
        noise().save(path)
        content = bytearray(path.read_bytes())
        content[16:24] = struct.pack(">II", side, side)
        content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
        path.write_bytes(content)

    return save


@pytest.mark.parametrize(
    "name, save, reason",
    [
        ("a.jpg", cut_off, "truncated"),
        ("a.png", cut_off, "truncated"),
        ("a.gif", cut_off, "truncated"),
        ("a.bmp", cut_off, "truncated"),
        ("a.webp", cut_off, "damaged: .+"),
        ("a.jpg", lambda path: path.touch(), "empty"),
        ("a.jpg", lambda path: path.write_text("a letter, not a picture"), "not a picture of a known format"),
        ("a.jpg", lambda path: None, "no such file or directory"),
        ("a.jpg", lambda path: path.mkdir(), "is a directory"),
        ("a.jpg", lambda path: os.mkfifo(path), "a pipe or a device, not a file"),
        ("a.jpg", many_scans, r"a JPEG of 7\d scans, where 64 is the most that is read"),
        ("a.jpg", many_scans_of_two, r"a JPEG of \d+ scans, where 64 is the most that is read"),
        ("a.png", huge(10_000), "more than 89 million pixels"),
        ("a.png", huge(40_000), "more than 89 million pixels"),
        ("a.tif", lambda path: Image.new("F", (4, 4)).save(path), "pixels of 32 bits; at most 16 can be read"),
        ("a.tif", tiff((-1, 5), 16, kind=2), "signed pixels, some of which are below 0; save it with .*"),
        ("a.tif", lambda path: Image.new("I", (4, 4), 70_000).save(path), "pixels of 32 bits; at most 16 can be read"),
    ],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_cannot_be_read_is_said_in_one_line(tmp_path, name, save, reason):
    path = tmp_path / name
    save(path)
    with pytest.raises(ValueError, match=rf"\A{re.escape(str(path))}: {reason}\Z") as caught:
        decoding.read_picture(path)
    assert re.fullmatch(reason, caught.value.reason)


def test_what_lies_behind_a_jpeg_is_no_scan(tmp_path):
    """As the film of a picture that moves, in which the two bytes that begin one are there by chance."""
    noise().save(tmp_path / "a.jpg")
    expected = decoding.read_picture(tmp_path / "a.jpg")
    with open(tmp_path / "a.jpg", "ab") as file:
        file.write(b"\xff\xda\x12\x34" * 100)
    np.testing.assert_array_equal(decoding.read_picture(tmp_path / "a.jpg"), expected)


@pytest.mark.parametrize(
    "error, may_pass",
    [
        (OSError(errno.EIO, "Input/output error"), True),
        (OSError(errno.ETIMEDOUT, "Connection timed out"), True),
        (OSError(errno.EMFILE, "Too many open files"), True),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), False),
        (PermissionError(errno.EACCES, "Permission denied"), False),
        (OSError(errno.EINVAL, "Invalid argument"), False),  # of a place in a file that no file has
        (OSError("image file is truncated"), False),  # as Pillow says it
    ],
)
def test_an_error_says_whether_it_may_pass(tmp_path, monkeypatch, error, may_pass):
    noise().save(tmp_path / "a.png")

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(Image, "open", fail)
    monkeypatch.setattr(pathlib.Path, "read_bytes", fail)
    for read in (decoding.read_picture, decoding.read_size, decoding.read_file):
        with pytest.raises(decoding.PictureError, match="a.png: ") as caught:
            read(tmp_path / "a.png")
        assert caught.value.may_pass == may_pass


def test_once_many_files_fail_none_is_waited_for_until_one_is_read(monkeypatch):
    """Else a file system that does not answer would keep a start busy for hours."""
    pauses = []
    monkeypatch.setattr(decoding.time, "sleep", pauses.append)
    decoding._failed.clear()

    def fail():
        raise decoding.PictureError("a.png", "connection timed out", may_pass=True)

    for _ in range(30):
        with pytest.raises(decoding.PictureError):
            decoding.read_patiently(fail)
    assert pauses == [1, 5] * 20
    assert decoding.read_patiently(lambda: "read") == "read"
    with pytest.raises(decoding.PictureError):
        decoding.read_patiently(fail)
    assert len(pauses) == 42


def test_sizes_are_not_guessed_where_the_system_fails(tmp_path, monkeypatch):
    """A landmark that counts from the bottom would lie above its picture."""
    monkeypatch.setattr(decoding.time, "sleep", lambda seconds: None)
    noise().save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"damaged")
    failures, read_size = [True, True], decoding.read_size

    def fail(path):
        if failures and failures.pop():
            raise decoding.PictureError(path, "input/output error", may_pass=True)
        return read_size(path)

    monkeypatch.setattr(decoding, "read_size", fail)
    paths = [str(tmp_path / name) for name in ("a.png", "b.png")]
    assert decoding.read_sizes(paths) == {paths[0]: read_size(paths[0]), paths[1]: (0, 0)}
    failures += [True] * 3
    with pytest.raises(decoding.PictureError, match="a.png: input/output error"):
        decoding.read_sizes(paths)
    decoding._failed.clear()


@pytest.mark.parametrize("save, reason", [(cut_off, "truncated"), (pathlib.Path.touch, "empty")])
def test_content_from_elsewhere_is_read_as_the_file_is(tmp_path, save, reason):
    save(tmp_path / "a.jpg")
    noise().save(tmp_path / "b.jpg")
    content, whole = ((tmp_path / name).read_bytes() for name in ("a.jpg", "b.jpg"))
    with pytest.raises(ValueError, match=rf"\Ags://elsewhere/a.jpg: {reason}\Z"):
        decoding.read_picture("gs://elsewhere/a.jpg", content=content)
    np.testing.assert_array_equal(decoding.read_picture("b", content=whole), decoding.read_picture(tmp_path / "b.jpg"))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_headers_tell_what_they_can(tmp_path):
    huge(10_000)(tmp_path / "a.png")
    with pytest.raises(ValueError, match="more than 89 million pixels"):
        decoding.read_size(tmp_path / "a.png")
    cut_off(tmp_path / "b.png")
    assert decoding.read_size(tmp_path / "b.png") == (60, 80)  # the header is whole


@pytest.mark.parametrize("limit", [None, 20_000, 10**9])
def test_the_most_pixels_are_ours_whatever_the_limit_of_pillow_is(monkeypatch, limit):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    assert runpy.run_path(decoding.__file__)["MOST_PIXELS"] == decoding.MOST_PIXELS == 89_478_485


@pytest.mark.parametrize(
    "limit, least",
    [(None, "89"), (10**9, "89"), (10_000_000, "20")],  # Pillow refuses twice its limit
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_the_limit_that_is_said_is_the_one_that_refuses(tmp_path, monkeypatch, limit, least):
    huge(10_000)(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(decoding.PictureError, match=f"a.png: more than {least} million pixels$"):
        decoding.read_picture(tmp_path / "a.png")


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("size", [(60, 65), (12, 10), (150, 260)])
def test_a_box_is_resized_to_where_it_should_be(tmp_path, size, orientation):
    """Of a picture whose red is its column and whose green its row, resizing gives the coordinates themselves."""
    rows, columns = np.indices([240, 255])
    save_turned(tmp_path / "a.png", np.stack([columns, rows, 0 * rows], axis=-1).astype(np.uint8), orientation)
    found, scale, _ = decoding.read_resized(tmp_path / "a.png", (60.25, 50.5, 190.25, 170.5), size)
    assert scale == (130 / size[1], 120 / size[0])
    rows, columns = np.indices(size) + 0.5
    np.testing.assert_allclose(found[..., 0], 60.25 + columns * scale[0] - 0.5, atol=0.8)
    np.testing.assert_allclose(found[..., 1], 50.5 + rows * scale[1] - 0.5, atol=0.8)


def test_edges_are_repeated_where_the_box_reaches_beyond(tmp_path):
    Image.fromarray(four_colours(8, 8)).save(tmp_path / "a.png")
    expected = np.repeat(np.repeat(four_colours(2, 2), [7, 9], axis=0), [5, 4], axis=1)  # 3, 5, 1 and 0 beyond
    found, scale, _ = decoding.read_resized(tmp_path / "a.png", (-1, -3, 8, 13), (16, 9))
    assert scale == (1, 1)
    np.testing.assert_array_equal(found, expected)
    whole, *_ = decoding.read_resized(tmp_path / "a.png", None, (8, 8))
    np.testing.assert_array_equal(whole, four_colours(8, 8))


@pytest.mark.parametrize(
    "box, reason",
    [((8, 0, 12, 4), "its box lies outside of it"), ((0, 0, 1e5, 1e5), "its box has more than 89 million pixels")],
)
def test_boxes_that_show_nothing_are_refused(tmp_path, box, reason):
    Image.fromarray(four_colours(8, 8)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=f"a.png: {reason}"):
        decoding.read_resized(tmp_path / "a.png", box, (4, 4))


def test_only_this_module_opens_pictures():
    """Whatever else did might open files of formats that run programs."""
    root = pathlib.Path(__file__).parents[3]
    folders = ("dense_labels", "input_pipeline", "models", "serving")
    paths = [path for folder in folders for path in root.glob(f"{folder}/**/*.py")]
    assert [path.name for path in paths if "Image.open" in path.read_text()] == ["decoding.py"]


def test_the_name_of_a_file_does_not_steer_the_terminal(tmp_path):
    with pytest.raises(decoding.PictureError, match=re.escape(r"\x1b[2J\n.png: no such file")):
        decoding.read_picture(tmp_path / "\x1b[2J\n.png")


@pytest.mark.parametrize(
    "name, reason",
    [
        ("png RGB 16 with a key", "a transparent colour of 16 bits; save it as a PNG of 8 bits"),
        ("bmp black and white in 8 bits", "a BMP of black and white in more than one bit; save it as a PNG"),
    ],
)
def test_what_pillow_would_read_wrongly_is_refused(tmp_path, name, reason):
    files = {name: file for kind in (picture_files.pngs, picture_files.bmps) for name, file, _ in kind()}
    (tmp_path / "a.file").write_bytes(files[name])
    with pytest.raises(decoding.PictureError, match=f"a.file: .*{reason}"):
        decoding.read_picture(tmp_path / "a.file")
