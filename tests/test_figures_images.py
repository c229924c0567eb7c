"""Claims about opening images: their pixels, their JPEGs and the files that are refused."""

import io

import numpy as np
import pytest
from figure_rows import picture, png_header
from PIL import Image

from vital_lib.figures import FigureImage, ImageFolder, UnreadableImage, blank, open_image


def test_only_open_image_makes_a_figure_image(tmp_path):
    with pytest.raises(TypeError, match="open_image"):
        FigureImage(tmp_path / "a.png", "0" * 64, 1, 1)


def test_pixels_are_those_of_the_file(tmp_path):
    picture().save(tmp_path / "a.png")
    image = open_image(tmp_path / "a.png")
    assert (image.width, image.height) == (24, 16)
    assert np.array_equal(np.asarray(image.pixels()), np.asarray(picture()))


def test_a_file_changed_after_it_was_opened_is_not_shown(tmp_path):
    picture(0).save(tmp_path / "a.png")
    image = open_image(tmp_path / "a.png")
    picture(1).save(tmp_path / "a.png")
    with pytest.raises(UnreadableImage, match="changed since"):
        image.pixels()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr"])
def test_every_common_mode_becomes_rgb(tmp_path, mode):
    name = "a.png" if mode in ("1", "L", "LA", "P", "RGBA") else "a.tif"
    picture().convert(mode).save(tmp_path / name)
    assert open_image(tmp_path / name).pixels().mode == "RGB"


def test_a_cmyk_jpeg_keeps_its_colour(tmp_path):
    Image.new("RGB", (16, 16), (200, 40, 40)).convert("CMYK").save(tmp_path / "a.jpg")
    red, green, blue = open_image(tmp_path / "a.jpg").pixels().getpixel((8, 8))
    assert red > 180 and green < 70 and blue < 70


def test_transparency_is_laid_on_white(tmp_path):
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "a.png")
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.save(tmp_path / "b.png", transparency=0)
    for name in ("a.png", "b.png"):
        assert open_image(tmp_path / name).pixels().getpixel((0, 0)) == (255, 255, 255)


def test_16_bit_greys_keep_their_order_over_the_whole_range(tmp_path):
    ramp = np.linspace(1000, 3000, 64).astype(np.uint16).reshape(1, 64)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    greys = np.asarray(open_image(tmp_path / "a.png").pixels())[0, :, 0].astype(int)
    assert greys[0] == 0 and greys[-1] == 255
    assert np.all(np.diff(greys) > 0)


def test_a_flat_16_bit_image_is_black_and_raises_nothing(tmp_path):
    Image.fromarray(np.full((4, 4), 5000, np.uint16)).save(tmp_path / "a.png")
    assert open_image(tmp_path / "a.png").pixels().getextrema() == ((0, 0),) * 3


def test_exif_orientation_turns_the_pixels_and_the_size(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture().save(tmp_path / "a.png", exif=exif)
    image = open_image(tmp_path / "a.png")
    turned = picture().transpose(Image.Transpose.ROTATE_270)
    assert (image.width, image.height) == (16, 24)
    assert np.array_equal(np.asarray(image.pixels()), np.asarray(turned))


def test_the_jpeg_is_small_and_carries_no_metadata(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "Jane Doe, born 1970"
    picture(size=(300, 150)).save(tmp_path / "a.jpg", exif=exif, comment=b"Jane Doe")
    content = open_image(tmp_path / "a.jpg").jpeg(max_side=100)
    shown = Image.open(io.BytesIO(content))
    assert shown.size == (100, 50)
    assert b"Jane" not in content and not shown.getexif()


def test_the_jpeg_is_never_enlarged(tmp_path):
    picture().save(tmp_path / "a.png")
    content = open_image(tmp_path / "a.png").jpeg()
    assert Image.open(io.BytesIO(content)).size == (24, 16)


def test_blank_has_the_same_size_and_one_mean_grey(tmp_path):
    Image.fromarray(np.repeat(np.uint8([[0], [200]]), 6, axis=1)).save(tmp_path / "a.png")
    control = blank(open_image(tmp_path / "a.png"))
    assert control.size == (6, 2)
    assert control.getextrema() == ((100, 100),) * 3


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not an image"),
        (b"<html>404</html>", "not an image"),
        (png_header(30_000, 30_000), "pixels"),
        (png_header(10_001, 10_000), "10,001 x 10,000 pixels"),
        (png_header(20_000, 1), "20,000 x 1 pixels, one side is over 200 times the other"),
        (png_header(3, 700), "3 x 700 pixels, one side is over 200 times the other"),
    ],
)
def test_a_file_that_is_no_usable_image_says_why(tmp_path, content, reason):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UnreadableImage, match=reason):
        open_image(tmp_path / "a.png")


def test_an_image_of_900_million_pixels_is_never_decoded(tmp_path, monkeypatch):
    def decoded(self):
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decoded)
    (tmp_path / "a.png").write_bytes(png_header(30_000, 30_000))
    with pytest.raises(UnreadableImage, match="over 100,000,000 pixels"):
        open_image(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "gif", "bmp", "webp"])
def test_a_truncated_file_is_refused(tmp_path, suffix):
    picture(size=(200, 200)).save(tmp_path / f"whole.{suffix}")
    content = (tmp_path / f"whole.{suffix}").read_bytes()
    (tmp_path / f"cut.{suffix}").write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableImage):
        open_image(tmp_path / f"cut.{suffix}")


def test_damaged_headers_raise_nothing_but_unreadable_image(tmp_path):
    rng, refused = np.random.default_rng(0), set()
    for suffix in ("png", "jpg", "gif", "webp"):
        picture().save(tmp_path / f"a.{suffix}")
        whole = np.frombuffer((tmp_path / f"a.{suffix}").read_bytes(), np.uint8)
        for _ in range(100):
            broken = whole.copy()
            broken[rng.integers(0, min(200, whole.size), 3)] = rng.integers(0, 256, 3)
            (tmp_path / "b").write_bytes(broken.tobytes())
            try:
                assert open_image(tmp_path / "b").pixels().mode == "RGB"
            except UnreadableImage as error:
                assert error.field == "image" and error.reason
                refused.add(suffix)
    assert refused == {"png", "jpg", "gif", "webp"}


def test_a_postscript_file_is_not_handed_to_an_interpreter(tmp_path):
    picture().save(tmp_path / "a.eps")
    with pytest.raises(UnreadableImage, match="not an image"):
        open_image(tmp_path / "a.eps")


@pytest.mark.parametrize("name", ["absent.png", "folder", "nul\0byte.png", "x" * 5000])
def test_a_path_that_is_no_file_is_refused(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(UnreadableImage, match=r"no such image file|not a usable path"):
        open_image(tmp_path / name)


@pytest.mark.parametrize("url", ["https://a.example/b/c.png", "s3://bucket/c.png"])
def test_a_url_is_told_from_a_file_that_is_not_there(url):
    with pytest.raises(UnreadableImage, match="no such image file: 'c.png'; this is a URL: down"):
        open_image(url)


def test_a_path_may_not_leave_its_folder(tmp_path):
    (tmp_path / "images").mkdir()
    picture().save(tmp_path / "secret.png")
    (tmp_path / "images" / "link.png").symlink_to(tmp_path / "secret.png")
    for name in ("../secret.png", str(tmp_path / "secret.png"), "link.png"):
        with pytest.raises(UnreadableImage, match="leaves the image folder"):
            ImageFolder(tmp_path / "images").find(name)
