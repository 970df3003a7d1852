"""The MNIST rows of CACTUs (Hsu, Levine, Finn 2019, arXiv 1810.02334, table 7, whose numbers are not in our sources):
trained and tested 10-way, ten clusters. The ten digits are the same in all parts, so its tasks differ only in their
examples."""

from __future__ import annotations

from nopal.encoders import acai, bigan
from nopal.options.experiment import EncoderOptions
from nopal.recipes.cactus import Table

TABLE = Table("mnist", way=10, clusters=10, difficulties=((10, 1), (10, 5), (10, 10)), published={})

ROWS = (
    *TABLE.rows_on("raw", "raw pixels", EncoderOptions("raw"), pixels=True),
    *TABLE.rows_on("pca", "PCA-64", EncoderOptions("pca", 64), pixels=True),
    *TABLE.rows_on("acai", "ACAI", EncoderOptions("acai", acai=acai.PUBLISHED["mnist"])),
    *TABLE.rows_on("bigan", "BiGAN", EncoderOptions("bigan", bigan=bigan.PUBLISHED["mnist"])),
    *TABLE.other_rows(),
)
