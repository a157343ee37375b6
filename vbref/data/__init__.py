"""Two small data sets that ship, a loader for files, splits, and pixels made ready a minibatch at a time."""

from vbref.data.files import NAMES, Dataset, load, load_digits, load_faithful
from vbref.data.prepare import BINARISE, Prepare, Rows, split

__all__ = ["BINARISE", "NAMES", "Dataset", "Prepare", "Rows", "load", "load_digits", "load_faithful", "split"]
