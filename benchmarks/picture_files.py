"""Picture files of every kind, most of them made byte by byte, each with the pixels that it shows."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 11, 13  # odd, so that rows are padded
WHITE = 255


def smooth(bands=3):
    """uint8 [HEIGHT, WIDTH, bands], without edges that a JPEG would blur, and unlike itself turned or mirrored."""
    rows, columns = np.indices([HEIGHT, WIDTH])
    planes = [20 + 9 * rows + 7 * columns, 230 - 12 * rows + columns, 40 + 3 * rows + 11 * columns, 90 + 14 * rows]
    return np.stack(planes[:bands], axis=-1).astype(np.uint8)


def saved(kind, pixels, mode=None, **options):
    file, image = io.BytesIO(), pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, kind, **options)
    return file.getvalue()


def on_white(colours, alpha):
    """Alpha from 0 to 255."""
    alpha = np.asarray(alpha, float)[..., np.newaxis] / 255
    return np.rint(colours * alpha + WHITE * (1 - alpha))


def _chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(bits, colour_type, values, *before, after=()):
    """A PNG of values [H, W, bands]; `before` and `after` its pixels come (name, content) of other chunks."""
    height, width, bands = values.shape
    planes = np.unpackbits(values.astype(">u2")[..., np.newaxis].view(np.uint8), axis=-1)[..., 16 - bits :]
    rows = np.packbits(planes.reshape(height, width * bands * bits), axis=1)
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    content = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    chunks = [(b"IHDR", header), *before, (b"IDAT", content), *after, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*each) for each in chunks)


def bmp(bits, values, *, palette=None, compression=0, header=40, masks=(), from_top=False, data=None):
    """A BMP of values [H, W, n], n bytes a pixel, or [H, W] of less than a byte."""
    if data is None:
        if bits < 8:
            planes = np.unpackbits(values.astype(np.uint8)[..., np.newaxis], axis=-1)[..., 8 - bits :]
            rows = np.packbits(planes.reshape(len(values), -1), axis=1)
        else:
            rows = values.astype(np.uint8).reshape(len(values), -1)
        rows = np.pad(rows, [(0, 0), (0, -rows.shape[1] % 4)])
        data = (rows if from_top else rows[::-1]).tobytes()
    colours = b"" if palette is None else np.pad(palette[:, ::-1], [(0, 0), (0, 1)]).astype(np.uint8).tobytes()
    masks = struct.pack(f"<{len(masks)}I", *masks)
    masks = masks if header == 40 else masks.ljust(header - 40, b"\0")
    height, width = values.shape[:2]
    height = -height if from_top else height
    start = 14 + 40 + len(masks) + len(colours)
    sizes = (header, width, height, 1, bits, compression, len(data), 0, 0, len(colours) // 4, 0)
    fields = struct.pack("<IiiHHIIiiII", *sizes)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + fields + masks + colours + data


def exif(orientation, order="<", kind=3):
    """EXIF data, without the name that a JPEG puts before them."""
    stored = struct.pack(f"{order}{'H' if kind == 3 else 'I'}", orientation).ljust(4, b"\0")
    value = struct.pack(f"{order}HHI", 0x0112, kind, 1) + stored
    other = struct.pack(f"{order}HHII", 0x0110, 2, 2, 0x41000000 if order == ">" else 0x41)  # a camera called A
    begin = b"II*\0" if order == "<" else b"MM\0*"
    return begin + struct.pack(f"{order}IH", 8, 2) + other + value + bytes(4)


# Orientation -> what makes the picture upright: table 1 of JEITA CP-3451.
UPRIGHT = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).swapaxes(0, 1),
    8: lambda stored: np.rot90(stored),
}


def jpegs():
    """Yields (name, file, pixels); Pillow reads what these files show within 3 of what they were made of."""
    pixels, best = smooth(), {"quality": 100, "subsampling": 0}
    plain = saved("JPEG", pixels, **best)
    yield "jpeg", plain, pixels
    yield "jpeg progressive", saved("JPEG", pixels, progressive=True, **best), pixels
    yield "jpeg halved colours", saved("JPEG", pixels, quality=95), None
    yield "jpeg grey", saved("JPEG", pixels[..., 0], quality=100), pixels[..., [0, 0, 0]]
    yield "jpeg stored as RGB", saved("JPEG", pixels, keep_rgb=True, **best), pixels
    coloured = [Image.fromarray(255 - pixels[..., k]) for k in range(3)]
    inks = Image.merge("CMYK", [*coloured, Image.new("L", (WIDTH, HEIGHT))])
    cmyk = saved("JPEG", inks, quality=100)
    yield "jpeg CMYK", cmyk, pixels
    adobe = cmyk.index(b"Adobe")
    yield "jpeg YCCK", cmyk[: adobe + 11] + b"\2" + cmyk[adobe + 12 :], None
    yield "jpeg CMYK without Adobe", cmyk[: adobe - 4] + cmyk[adobe + 12 :], None
    for orientation, upright in UPRIGHT.items():
        file = saved("JPEG", pixels, exif=b"Exif\0\0" + exif(orientation, "<>"[orientation % 2]), **best)
        yield f"jpeg turned {orientation}", file, upright(pixels)
    file = saved("JPEG", pixels, exif=b"Exif\0\0" + exif(6, kind=4), **best)
    yield "jpeg turned, in four bytes", file, UPRIGHT[6](pixels)
    yield "jpeg turned 9", saved("JPEG", pixels, exif=b"Exif\0\0" + exif(9), **best), pixels
    start = file.index(b"Exif") - 4
    yield "jpeg with filling", file[:start] + b"\xff\xff" + file[start:], UPRIGHT[6](pixels)
    yield "jpeg EXIF cut", saved("JPEG", pixels, exif=b"Exif\0\0" + exif(6)[:25], **best), pixels
    lost = file.replace(b"\x10\1\2\0\2\0\0\0", b"\x10\1\2\0\x99\0\0\0")  # the name of the camera lies nowhere
    yield "jpeg turned, EXIF damaged", lost, UPRIGHT[6](pixels)
    note = struct.pack(">H", 8 + len(exif(6))) + b"Exif\0\0" + exif(6)
    yield "jpeg with EXIF in a comment", plain[:2] + b"\xff\xfe" + note + plain[2:], pixels
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="6"/>'
    segment = b"\xff\xe1" + struct.pack(">H", 2 + len(xmp)) + xmp
    yield "jpeg turned by XMP alone", plain[:2] + segment + plain[2:], pixels


def pngs():
    """Yields (name, file, pixels)."""
    pixels = smooth()
    grey, alpha = pixels[..., :1], smooth(4)[..., 3]
    for bits in (1, 2, 4, 8, 16):
        most = 2**bits - 1
        values = (grey.astype(int) * 257 if bits == 16 else grey >> (8 - bits)).astype(np.uint16)
        shown = np.repeat(np.rint(values / most * 255), 3, axis=2)
        yield f"png grey {bits}", png(bits, 0, values), shown
        key = values[3, 5]
        seen = np.where(values == key, WHITE, shown)
        yield f"png grey {bits} with a key", png(bits, 0, values, (b"tRNS", struct.pack(">H", *key))), seen
    palette = np.random.default_rng(0).integers(0, 256, [256, 3], np.uint8)
    for bits in (1, 2, 4, 8):
        count = 2**bits
        values = grey >> (8 - bits)
        table, clear = (b"PLTE", palette[:count].tobytes()), np.arange(count) * 255 // (count - 1)
        yield f"png palette {bits}", png(bits, 3, values, table), palette[values[..., 0]]
        file = png(bits, 3, values, table, (b"tRNS", clear.astype(np.uint8).tobytes()))
        yield f"png palette {bits} with alpha", file, on_white(palette[values[..., 0]], clear[values[..., 0]])
    yield "png RGB", png(8, 2, pixels), pixels
    key = np.all(pixels == pixels[3, 5], axis=2)
    keyed = np.where(key[..., np.newaxis], WHITE, pixels)
    yield "png RGB with a key", png(8, 2, pixels, (b"tRNS", struct.pack(">3H", *pixels[3, 5]))), keyed
    deep = pixels.astype(np.uint16) * 257
    yield "png RGB 16", png(16, 2, deep), pixels
    yield "png RGB 16 with a key", png(16, 2, deep, (b"tRNS", struct.pack(">3H", *deep[3, 5]))), keyed
    for bits, scale in ((8, 1), (16, 257)):
        shaded = np.dstack([grey, alpha]).astype(np.uint16) * scale
        yield f"png grey and alpha {bits}", png(bits, 4, shaded), on_white(np.repeat(grey, 3, axis=2), alpha)
        shaded = np.dstack([pixels, alpha]).astype(np.uint16) * scale
        yield f"png RGB and alpha {bits}", png(bits, 6, shaded), on_white(pixels, alpha)
    for orientation, upright in UPRIGHT.items():
        chunk = (b"eXIf", exif(orientation, "<>"[orientation % 2]))
        yield f"png turned {orientation}", png(8, 2, pixels, chunk), upright(pixels)
    yield "png turned after its pixels", png(8, 2, pixels, after=[(b"eXIf", exif(6))]), UPRIGHT[6](pixels)
    yield "png turned, with a name", png(8, 2, pixels, (b"eXIf", b"Exif\0\0" + exif(6))), UPRIGHT[6](pixels)
    yield "png with eXIf in a text", png(8, 2, pixels, (b"tEXt", b"Comment\0eXIf turns")), pixels
    frames = {"save_all": True, "append_images": [Image.new("RGB", (WIDTH, HEIGHT))]}
    yield "png animated", saved("PNG", pixels, **frames), pixels


def bmps():
    """Yields (name, file, pixels)."""
    pixels = smooth()
    palette = np.random.default_rng(1).integers(0, 256, [256, 3], np.uint8)
    for bits in (1, 4, 8):
        values, table = pixels[..., 0] >> (8 - bits), palette[: 2**bits]
        yield f"bmp palette {bits}", bmp(bits, values, palette=table), table[values]
    few = pixels[..., 0] % 9
    yield "bmp palette of nine", bmp(8, few, palette=palette[:9]), palette[few]
    yield "bmp palette from the top", bmp(8, few, palette=palette[:9], from_top=True), palette[few]
    bilevel = np.array([[0] * 3, [WHITE] * 3])
    yield "bmp black and white in 8 bits", bmp(8, few % 2, palette=bilevel), bilevel[few % 2]
    yield "bmp grey", saved("BMP", pixels[..., 0]), pixels[..., [0, 0, 0]]
    yield "bmp 24", bmp(24, pixels[..., ::-1]), pixels
    yield "bmp 24 from the top", bmp(24, pixels[..., ::-1], from_top=True), pixels
    yield "bmp 24, header of 124", bmp(24, pixels[..., ::-1], header=124), pixels
    for name, last in (("zeros", 0), ("noise", smooth(4)[..., 3])):
        unused = np.dstack([pixels[..., ::-1], np.broadcast_to(last, [HEIGHT, WIDTH])])
        yield f"bmp 32 with {name}", bmp(32, unused), pixels
        yield f"bmp 32 with {name} from the top", bmp(32, unused, from_top=True), pixels
        bgr = (0xFF0000, 0xFF00, 0xFF)
        yield f"bmp 32 with masks and {name}", bmp(32, unused, compression=3, masks=bgr), pixels
        yield f"bmp 32, header of 108 and {name}", bmp(32, unused, compression=3, header=108, masks=(*bgr, 0)), pixels
        for header in (56, 108, 124):
            file = bmp(32, unused, compression=3, header=header, masks=(*bgr, 0xFF000000))
            yield f"bmp 32 with alpha, {header} and {name}", file, on_white(pixels, unused[..., 3])
    shaded = np.dstack([pixels, smooth(4)[..., 3]])
    masks = (0xFF, 0xFF00, 0xFF0000, 0xFF000000)
    file = bmp(32, shaded, compression=3, header=124, masks=masks)
    yield "bmp 32 in another order", file, on_white(pixels, shaded[..., 3])
    low = (pixels >> 3).astype(int)
    values = low[..., 0] << 10 | low[..., 1] << 5 | low[..., 2]
    yield "bmp 16", bmp(16, np.dstack([values & 255, values >> 8])), low * 255 / 31
    data = b"\x0d\5\0\0" * HEIGHT + b"\0\1"
    file = bmp(8, few, palette=palette[:9], compression=1, data=data)
    yield "bmp run lengths", file, np.broadcast_to(palette[5], pixels.shape)
    old = b"BM" + struct.pack("<IHHI", 26 + 40 * HEIGHT, 0, 0, 26) + struct.pack("<IHHHH", 12, WIDTH, HEIGHT, 1, 24)
    rows = np.pad(pixels[::-1, :, ::-1].reshape(HEIGHT, -1), [(0, 0), (0, 1)])
    yield "bmp of the oldest kind", old + rows.tobytes(), pixels


def others():
    """Yields (name, file, pixels) of formats that served models do not read."""
    pixels = smooth()
    frames = {"save_all": True, "append_images": [Image.new("RGB", (WIDTH, HEIGHT))]}
    whole = {"lossless": True, "exact": True}
    yield "gif", saved("GIF", pixels[..., 0]), pixels[..., [0, 0, 0]]
    yield "gif animated", saved("GIF", pixels[..., 0], **frames), pixels[..., [0, 0, 0]]
    yield "webp", saved("WEBP", pixels, **whole), pixels
    yield "webp animated", saved("WEBP", pixels, **whole, **frames), pixels
    turned = b"Exif\0\0" + exif(6)
    yield "webp turned", saved("WEBP", pixels, exif=turned, **whole), UPRIGHT[6](pixels)
    alpha = np.dstack([pixels, smooth(4)[..., 3]])
    yield "webp with alpha", saved("WEBP", alpha, **whole), on_white(pixels, alpha[..., 3])
    for compression in (None, "tiff_lzw", "tiff_deflate", "packbits"):
        yield f"tiff {compression}", saved("TIFF", pixels, compression=compression), pixels
    with_tag = {"tiffinfo": {0x0112: 6}}
    yield "tiff turned", saved("TIFF", pixels, **with_tag), UPRIGHT[6](pixels)
    deep = pixels[..., 0].astype(np.uint16) * 257
    yield "tiff 16", saved("TIFF", deep), pixels[..., [0, 0, 0]]
    black_is_zero, white_is_zero = (struct.pack("<HHIHH", 262, 3, 1, kind, 0) for kind in (1, 0))
    file = saved("TIFF", 65535 - deep)
    yield "tiff 16, white is 0", file.replace(black_is_zero, white_is_zero), pixels[..., [0, 0, 0]]
