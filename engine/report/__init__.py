"""A finished run's tables, workbook and figures."""

import os

# Read once, when matplotlib is imported. A notebook hands down a backend that only its own kernel has; figures are
# plotted to files here, and never need a window.
os.environ["MPLBACKEND"] = "agg"
