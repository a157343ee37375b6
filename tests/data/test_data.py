import gzip
import struct
import zipfile

import numpy as np
import pytest

import vbref
from vbref.data import Dataset, Prepare, Rows, load, split


def idx_bytes(array, code):
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


IMAGES = np.arange(3 * 2 * 4, dtype=np.uint8).reshape(3, 2, 4)


def test_digits_are_the_documented_ones():
    digits = vbref.load_digits()
    assert digits.x.shape == (1797, 64)
    assert digits.x.dtype == np.float64
    assert (digits.x.min(), digits.x.max()) == (0, 16)
    assert list(digits.y[:4]) == [0, 1, 2, 3]
    assert list(digits.x[0, :8]) == [0, 0, 5, 13, 9, 1, 0, 0]


def test_faithful_are_the_documented_ones():
    faithful = vbref.load_faithful()
    assert faithful.shape == (272, 2)
    # The means that R prints: colMeans(faithful).
    np.testing.assert_allclose(faithful.mean(axis=0), [3.487783, 70.897059], rtol=1e-6)


def test_load_by_name():
    np.testing.assert_array_equal(load("digits").x, vbref.load_digits().x)
    np.testing.assert_array_equal(load("faithful").x, vbref.load_faithful())


@pytest.mark.parametrize(
    ("code", "dtype"), [(0x08, "u1"), (0x09, "i1"), (0x0B, "i2"), (0x0C, "i4"), (0x0D, "f4"), (0x0E, "f8")]
)
@pytest.mark.parametrize("zipped", [False, True])
def test_idx_of_every_type(tmp_path, code, dtype, zipped):
    array = (IMAGES - 12.0).astype(dtype)
    path = tmp_path / ("a-idx3.gz" if zipped else "a-idx3")
    path.write_bytes(gzip.compress(idx_bytes(array, code)) if zipped else idx_bytes(array, code))
    x = load(path).x
    assert x.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(x, array.reshape(3, 8))


def test_idx_labels_beside_images_come_along(tmp_path):
    (tmp_path / "t-images-idx3-ubyte").write_bytes(idx_bytes(IMAGES, 8))
    assert load(tmp_path / "t-images-idx3-ubyte").y is None
    (tmp_path / "t-labels-idx1-ubyte").write_bytes(idx_bytes(np.array([7, 1, 2], np.uint8), 8))
    assert list(load(tmp_path / "t-images-idx3-ubyte").y) == [7, 1, 2]


GOOD = idx_bytes(IMAGES, 8)
BROKEN = {
    "empty": (b"", "starts with nothing"),
    "magic": (b"\x01" + GOOD[1:], "starts with 01 00 08 03"),
    "type code": (GOOD[:2] + b"\x0a" + GOOD[3:], "starts with 00 00 0a 03"),
    "no axes": (GOOD[:3] + b"\0" + GOOD[4:], "starts with 00 00 08 00"),
    "header cut": (GOOD[:9], "truncated in its header"),
    "values cut": (GOOD[:-1], "truncated"),
    "left over": (GOOD + b"\0", "left over"),
    "promises too much": (GOOD[:4] + b"\xff" * 12, "truncated"),
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("zipped", [False, True])
def test_broken_idx_names_the_file_and_the_fault(tmp_path, case, zipped):
    content, message = BROKEN[case]
    path = tmp_path / ("bad.gz" if zipped else "bad")
    path.write_bytes(gzip.compress(content) if zipped else content)
    with pytest.raises(ValueError, match=f"bad.*{message}"):
        load(path)


ZIPPED = gzip.compress(GOOD)


@pytest.mark.parametrize(
    "content",
    [ZIPPED[:-9], b"no gzip" + ZIPPED, ZIPPED[:20] + b"\xff" * 9 + ZIPPED[29:]],
    ids=["cut", "other", "damaged"],  # the bytes have the time in them, and so would the tests' names
)
def test_broken_gzip_is_a_value_error(tmp_path, content):
    path = tmp_path / "bad.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.gz"):
        load(path)


def test_npz_and_npy(tmp_path):
    np.savez(tmp_path / "xy.npz", x=IMAGES, y=np.arange(3))
    np.savez(tmp_path / "one.npz", IMAGES)
    np.save(tmp_path / "a.npy", IMAGES)
    for name in ("xy.npz", "one.npz", "a.npy"):
        np.testing.assert_array_equal(load(tmp_path / name).x, IMAGES.reshape(3, 8))
    assert list(load(tmp_path / "xy.npz").y) == [0, 1, 2]


@pytest.mark.parametrize(
    "arrays",
    [
        {"a": IMAGES, "b": IMAGES},
        {"x": np.array([object()])},
        {"x": np.arange(3.0)},
        {"x": np.zeros((0, 3))},
        {"x": np.array([[1.0, np.nan]])},
        {"x": np.array([["text"]])},
        {"x": IMAGES, "y": np.arange(2)},
    ],
)
def test_npz_that_holds_no_data_is_refused(tmp_path, arrays):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(ValueError, match=r"bad\.npz"):
        load(tmp_path / "bad.npz")


@pytest.mark.parametrize("name", ["bad.npz", "bad.npy"])
@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04 cut", b"\x93NUMPY\x01\x00cut"])
def test_broken_archives_are_value_errors(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=name):
        load(tmp_path / name)


def test_text_named_npz_is_called_no_archive(tmp_path):
    (tmp_path / "x.npz").write_text("1, 2, 3")
    with pytest.raises(ValueError, match=r"x\.npz: no readable \.npz: it does not start with PK") as caught:
        load(tmp_path / "x.npz")
    assert "pickle" not in str(caught.value)


def test_damaged_npz_member_is_a_value_error(tmp_path):
    with zipfile.ZipFile(tmp_path / "bad.npz", "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00")
    with pytest.raises(ValueError, match=r"bad\.npz"):
        load(tmp_path / "bad.npz")


def test_missing_file_is_an_os_error(tmp_path):
    for name in ("none.npz", "none.npy", "none.gz", "none"):
        with pytest.raises(FileNotFoundError):
            load(tmp_path / name)


def test_prepare_scales_in_its_own_dtype():
    x = Prepare(maximum=16, dtype="float32")(np.array([[0, 4, 16]], np.uint8), np.random.default_rng(0))
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, [[0, 0.25, 1]])


def test_static_binarisation_is_the_threshold_one_half():
    x = Prepare(16, "static")(np.array([[0, 7, 8, 16]], np.uint8), np.random.default_rng(0))
    np.testing.assert_array_equal(x, [[0, 0, 1, 1]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dynamic_binarisation_has_the_grey_value_as_its_mean(dtype):
    n = 40_000
    rows = np.broadcast_to(np.array([0, 4, 13, 16], np.uint8), (n, 4))
    x = Prepare(16, "dynamic", dtype)(rows, np.random.default_rng(1))
    assert set(np.unique(x)) == {0, 1}
    p = np.array([0, 4, 13, 16]) / 16
    assert (abs(x.mean(axis=0) - p) <= 4 * np.sqrt(p * (1 - p) / n)).all()


def test_prepare_refuses_unknown_settings():
    with pytest.raises(ValueError, match="binarise must be one of none, static, dynamic, was 'grey'"):
        Prepare(binarise="grey")
    with pytest.raises(ValueError, match="maximum"):
        Prepare(maximum=0)


def test_split_is_a_partition_and_depends_on_the_seed_alone():
    kept, held = split(100, 17, np.random.default_rng(3))
    assert len(held) == 17
    assert sorted([*kept, *held]) == list(range(100))
    np.testing.assert_array_equal(held, split(100, 17, np.random.default_rng(3))[1])
    assert (held != split(100, 17, np.random.default_rng(4))[1]).any()
    with pytest.raises(ValueError, match="held_out"):
        split(5, 5, np.random.default_rng(0))


def test_rows_are_a_view_by_index():
    data = Dataset(np.arange(10)[:, None])
    rows = Rows(data.x, np.array([2, 5, 7]))
    assert len(rows) == 3
    np.testing.assert_array_equal(rows[np.array([2, 0])], [[7], [2]])
