"""The published numbers of CACTUs on Omniglot (Hsu, Levine, Finn 2019, arXiv 1810.02334; tables 1 to 3), in percent,
and how they were read."""

from __future__ import annotations

from nopal.recipes.recipe import Difficulty, Published

# i: read in a picture of the poster, t: in a third party's copy; the others from memory.
_MARKS = {"i": "[IMG] poster", "t": "[2ND]", "": "[MEM]"}

_OMNIGLOT = """
                         5x1     5x5     20x1    20x5
from-scratch             52.50   74.78i  24.91i  47.62
bigan-knn                49.55   68.06   27.37   46.70
bigan-linear             48.28   68.72   27.80   45.82
bigan-mlp                40.54   62.56   19.92   40.71
bigan-cluster-matching   43.96   58.62   21.54   31.06
bigan-cactus-maml        58.18   78.66   35.56   58.62
bigan-cactus-protonet    54.74   71.69   33.40   50.62
acai-knn                 57.46   81.16   39.73   66.38
acai-linear              61.08   81.82i  43.20i  66.33
acai-mlp                 51.95   77.20   30.65   58.62
acai-cluster-matching    54.94   71.09   32.19   45.93
acai-cactus-maml         68.84t  87.78i  48.09i  73.36t
acai-cactus-protonet     68.12t  83.58t  47.75t  66.27t
oracle-maml              94.46   98.83i  84.60i  96.29t
oracle-protonet          98.35   99.58   95.31   98.81
random-maml              -       25.74i  6.51i   -
zca-cactus-maml          -       40.19i  12.05i  -
acai-hyperplanes-maml    -       83.20i  41.86i  -
acai-single-maml         -       85.60i  45.04i  -
"""


def _read(table: str) -> dict[str, dict[Difficulty, Published]]:
    header, *lines = (line.split() for line in table.strip().splitlines())
    found: dict[str, dict[Difficulty, Published]] = {}
    for name, *cells in lines:
        found[name] = {}
        for at, cell in zip(header, cells):
            if cell != "-":
                way, shot = at.split("x")
                number = cell.rstrip("it")
                found[name][int(way), int(shot)] = Published(float(number), _MARKS[cell.removeprefix(number)])
    return found


OMNIGLOT = _read(_OMNIGLOT)
"""By the names of rows."""
