"""The Omniglot rows of CACTUs (Hsu, Levine, Finn 2019, arXiv 1810.02334): trained 20-way, tested 5-way and 20-way. An
encoder more is one line more."""

from __future__ import annotations

import dataclasses

from nopal.encoders import acai, bigan
from nopal.options.experiment import EncoderOptions, Experiment
from nopal.recipes.cactus import MAML, NEIGHBOURS, Table
from nopal.recipes.omniglot_published import OMNIGLOT

RAW = EncoderOptions("raw")
ZCA = EncoderOptions("zca")
PCA = EncoderOptions("pca", 64)
ACAI = EncoderOptions("acai", acai=acai.PUBLISHED["omniglot"])
BIGAN = EncoderOptions("bigan", bigan=bigan.PUBLISHED["omniglot"])
UNTRAINED = EncoderOptions("acai", acai=dataclasses.replace(ACAI.acai, steps=0))

TABLE = Table("omniglot", way=20, clusters=500, difficulties=((5, 1), (5, 5), (20, 1), (20, 5)), published=OMNIGLOT)

ROWS = (
    *TABLE.rows_on("raw", "raw pixels", RAW, pixels=True),
    *TABLE.rows_on("zca", "ZCA pixels", ZCA, pixels=True),
    *TABLE.rows_on("pca", "PCA-64", PCA, pixels=True),
    *TABLE.ablations_on("pca", "PCA-64", PCA, pixels=True),
    *TABLE.rows_on(
        "acai",
        "ACAI",
        ACAI,
        knn="above the published rows even before training (kNN on ACAI, not trained), why is not known",
        mlp="of the choices on offer the largest number of epochs (300) and dropout (.5) are the best",
        maml="it grows with its steps and with those of the encoder, see its rows by their budget; the number of "
        "partitions matters less, see the row on one partition; a second round takes from it: in its clusters 9.9% of "
        "the members are of their cluster's commonest class, in those of the first 16.3%",
        protonet="rounds take from it: in the clusters of the first three 16.1, 15.2 and 14.8% of the members are of "
        "their cluster's commonest class",
    ),
    *TABLE.ablations_on("acai", "ACAI", ACAI),
    *TABLE.rows_on("bigan", "BiGAN", BIGAN, knn="it generates noise after 10,000 steps, rough letters after 68,400"),
    TABLE.row("untrained-knn", "kNN on ACAI, not trained", Experiment(NEIGHBOURS, UNTRAINED), "not in the paper"),
    *TABLE.other_rows(),
    TABLE.row(
        "oracle-maml-published-head",
        "Oracle MAML, head from N(0, 1)",
        Experiment(dataclasses.replace(MAML, head_deviation=1.0), training=TABLE.maml_training),
        "as oracle-maml, with the published initial weights of the last layer",
        published="oracle-maml",
    ),
)
