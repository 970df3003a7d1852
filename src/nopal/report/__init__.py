"""What runs found, for people: tables, curves, sweeps, contact sheets of tasks, and one HTML page that holds them."""

from nopal.report.ablation import LEGEND as ABLATION
from nopal.report.ablation import ablation_table
from nopal.report.cluster_sheet import cluster_sheet, summaries_csv, summaries_table
from nopal.report.comparison import as_svg, comparison_figure
from nopal.report.contact_sheet import contact_sheet
from nopal.report.curves import curves_figure
from nopal.report.image_grid import image_grid
from nopal.report.page import Markup, Picture, Section, report_page, write_page, write_picture
from nopal.report.pose_predictions import PosePredictions, evenly, predictions_figure
from nopal.report.pose_sheet import pose_sheet
from nopal.report.results_page import results_page
from nopal.report.rows import Row, budget_order, budget_text, by_seed, rows_of, rows_over_seeds, scores_of, unmeasured
from nopal.report.steps import steps_figure
from nopal.report.sweep import Point, sweep_figure
from nopal.report.tables import html_table, markdown_table, table_legend, text_table

__all__ = [
    "ABLATION",
    "Markup",
    "Picture",
    "Point",
    "PosePredictions",
    "Row",
    "Section",
    "ablation_table",
    "as_svg",
    "budget_order",
    "budget_text",
    "by_seed",
    "cluster_sheet",
    "comparison_figure",
    "contact_sheet",
    "curves_figure",
    "evenly",
    "html_table",
    "image_grid",
    "markdown_table",
    "pose_sheet",
    "predictions_figure",
    "report_page",
    "results_page",
    "rows_of",
    "rows_over_seeds",
    "scores_of",
    "steps_figure",
    "summaries_csv",
    "summaries_table",
    "sweep_figure",
    "table_legend",
    "text_table",
    "unmeasured",
    "write_page",
    "write_picture",
]
