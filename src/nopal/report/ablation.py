"""Where a gain comes from: rows that share a learner and a budget, told apart by the choices in their records."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nopal.numerics.intervals import interval_over_groups
from nopal.report.rows import Record, Score, budget_text, by_seed, group_means, measure_of

PLAIN = {
    "encoder adapted": "yes",
    "noise": "none",
    "beta": "–",
    "weight decay": "none",
    "target": "linear",
    "augmentation": "no",
}
"""The reference is the row that departs from this in the fewest choices."""
LEGEND = (
    "Only rows of one kind of learner (MAML, CNP, ...) at one budget and number of points are compared; their choices "
    "are read from their records. The difference is to the reference, the row with the fewest additions; below 0 is "
    "better. Where both rows have several seeds in common, it is the mean difference between these, ± the standard "
    "deviation; over objects, the 95% interval by the differences of each test object's mean; otherwise that over "
    "tasks about these objects, as if both had met other ones of them, which says nothing of other objects. "
    '"Also" tells what else differs from the reference.'
)
HEADINGS = ("learner", "encoder adapted", "noise", "beta", "weight decay", "target", "augmentation", "points")
AROUND = {"cross_validated": "cross-validated", "mirrored": "mirror images"}
"""Learners around another one, in words."""
SMALLEST_SCALE = float(np.finfo(np.float32).eps)
"""What is added to every standard deviation of a weight (see `MeanField`)."""
Path = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Variant:
    """Records that differ by their seeds alone: their choices by the headings of the table, all others by their paths,
    and their scores by seed."""

    learner: str
    budget: str
    points: int
    choices: dict[str, str]
    others: dict[Path, Any]
    scores: dict[int, Score]

    @property
    def additions(self) -> int:
        plain = {**PLAIN, "beta": "0"} if self.choices["beta"] == "0" else PLAIN
        around = sum(self.others[("learner", name)] for name in AROUND.values())
        return around + sum(self.choices[name] != choice for name, choice in plain.items())


def ablation_table(records: Sequence[Record]) -> str:
    """A Markdown table of records of pose regression, a group of rows for each budget at which there are several; ''
    where there is none."""
    groups: dict[tuple, list[Variant]] = {}
    for of_seeds in by_seed([record for record in records if _is_pose(record)]):
        config = of_seeds[0]["config"]
        family, choices, others = read_choices(config)
        budget, training = of_seeds[0]["budget"], config["training"]
        for place, score in enumerate(of_seeds[0]["scores"]):
            if score["metric"] != measure_of(score.get("way")):
                continue
            scores = {record["seed"]: record["scores"][place] for record in of_seeds}
            learner, points = of_seeds[0]["learner"], score["points"]
            variant = Variant(learner, budget_text(of_seeds[0]), points, choices, others, scores)
            key = -budget["steps"], -training["tasks_per_step"], family, points
            groups.setdefault(key, []).append(variant)
    lines = []
    for _, variants in sorted(groups.items(), key=lambda item: item[0]):
        if len(variants) > 1:
            reference = min(variants, key=lambda variant: variant.additions)
            ordered = [reference, *(variant for variant in variants if variant is not reference)]
            lines += [_line(variant, reference) for variant in ordered]
    if not lines:
        return ""
    headings = [*HEADINGS, "squared error", "difference", "also", "budget"]
    rule = ["---"] * len(HEADINGS) + ["---:", "---:", "---", "---"]
    return "\n".join("| " + " | ".join(line) + " |" for line in (headings, rule, *lines))


def _is_pose(record: Record) -> bool:
    config = record.get("config", {})
    return bool(record["hardware"]) and (config.get("tasks") or {}).get("method") == "poses"


def read_choices(config: Mapping[str, Any]) -> tuple[str, dict[str, str], dict[Path, Any]]:
    """What a record's configuration says: the method of the learner that adapts, the choices of the table, and all
    others by their paths."""
    learner, training, tasks = config["learner"], config["training"], config["tasks"]
    noise: Mapping[str, Any] = {"noise": "none"}
    around: dict[Path, Any] = {("learner", name): False for name in AROUND.values()}
    while learner["method"] in AROUND:
        around[("learner", AROUND[learner["method"]])] = True
        around |= {("learner", name): value for name, value in learner.items() if name not in ("method", "learner")}
        learner = learner["learner"]
    if learner["method"] == "bayes_by_backprop":
        noise, learner = {**learner, "noise": "all weights"}, learner["learner"]
    if learner["method"] == "meta_regularised":
        whole, encoder, head = False, learner["encoder"], learner["learner"]
        noise = noise if noise["noise"] == "all weights" else learner
    else:
        whole, encoder, head = True, learner.get("before"), learner
    drawn = noise["noise"] != "none"
    scale = f", scale {noise['scale'] + SMALLEST_SCALE:.2g}" if "weights" in noise["noise"] else ""
    decay = training.get("weight_decay")
    how = "per step" if training.get("decay") == "per_step" else "times the rate"
    choices = {
        "encoder adapted": "yes" if whole else "no",
        "noise": noise["noise"] + scale,
        "beta": f"{noise['beta']:g}" if drawn else "–",
        "weight decay": f"{decay:g} {how}" if decay else "none",
        "target": "circle" if tasks["angle"] == "circular" else tasks["angle"],
        "augmentation": "yes" if tasks["augmented"] else "no",
    }
    others: dict[Path, Any] = {("encoder", name): value for name, value in (encoder or {}).items()}
    others |= {("head", name): value for name, value in head.items() if name not in ("method", "before")}
    named = ("steps", "tasks_per_step", "seed", "weight_decay", "decay")
    others |= {("training", name): value for name, value in training.items() if name not in named}
    others |= {("tasks", name): value for name, value in tasks.items() if name not in ("method", "angle", "augmented")}
    others |= around
    if drawn:
        others |= {
            ("noise", name): noise[name] for name in ("draws", "of", "over_dimensions", "samples") if name in noise
        }
    return head["method"].removeprefix("whole_"), choices, others


def _line(variant: Variant, reference: Variant) -> list[str]:
    means = [score["mean"] for score in variant.scores.values()]
    spread = np.std(means, ddof=1) if len(means) > 1 else next(iter(variant.scores.values()))["ci95"]
    diverged = sum(score.get("diverged", 0) for score in variant.scores.values())
    score = f"{np.mean(means):.3f} ± {spread:.3f}" + (f" ({diverged} diverged)" if diverged else "")
    same = variant is reference
    difference = "reference" if same else difference_text(variant.scores, reference.scores)
    told = [variant.choices[name] for name in HEADINGS[1:-1]]
    also = "" if same else also_text(variant.others, reference.others)
    return [variant.learner.replace("|", r"\|"), *told, str(variant.points), score, difference, also, variant.budget]


def difference_text(scores: Mapping[int, Score], reference: Mapping[int, Score]) -> str:
    """The mean difference over the seeds that both have, with its interval; without one where they have none in
    common."""
    common = sorted(scores.keys() & reference.keys())
    if not common:
        apart = np.mean([of["mean"] for of in scores.values()]) - np.mean([of["mean"] for of in reference.values()])
        return f"{apart:+.3f}"
    differences = [scores[seed]["mean"] - reference[seed]["mean"] for seed in common]
    if len(common) > 1:
        return f"{np.mean(differences):+.3f} ± {np.std(differences, ddof=1):.3f}"
    one, other = scores[common[0]], reference[common[0]]
    means, others = group_means(one), group_means(other)
    if means is not None and others is not None and len(means) == len(others):
        return f"{differences[0]:+.3f} ± {interval_over_groups(means - others):.3f} over objects"
    return f"{differences[0]:+.3f} ± {math.hypot(one['ci95'], other['ci95']):.3f}"


def also_text(others: Mapping[Path, Any], reference: Mapping[Path, Any]) -> str:
    """Choices that differ from the reference's, in words; those of noise count where both have some."""
    noisy = all(any(path[0] == "noise" for path in of) for of in (others, reference))
    paths = dict.fromkeys([*others, *reference])
    told = []
    for path in paths:
        value = others.get(path, "default")
        if value != reference.get(path, "default") and (noisy or path[0] != "noise"):
            room = "encoder " if path[0] == "encoder" else ""
            told.append(f"{room}{path[1].replace('_', ' ')} {_words(value)}")
    return ", ".join(told)


def _words(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, list | tuple):
        return " x ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
