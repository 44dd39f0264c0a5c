# SPDX-License-Identifier: MIT
"""What is written down of runs of made worlds: a folder for each, and a page of many seeds."""

from simulations.report.folder import check_folder as check_folder
from simulations.report.folder import write_report as write_report
from simulations.report.folder import write_reports as write_reports
from simulations.report.folder import write_summary_of_many as write_summary_of_many
