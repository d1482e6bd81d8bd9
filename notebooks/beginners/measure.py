"""What 03_files.ipynb does with one file: a module beside the notebook, as one has."""

import csv


def read(path):
    """Return the numbers of the column ``volts``."""
    with open(path) as file:
        return [float(row["volts"]) for row in csv.DictReader(file)]


def summary(path):
    """Return the file's name, and mean and peak of its numbers."""
    volts = read(path)
    return {"file": path, "mean": sum(volts) / len(volts), "peak": max(volts)}
