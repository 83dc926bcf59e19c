"""Read before any test or notebook is: whatever part of the suite runs, `auto` means the scale `smoke`."""
import os

os.environ["STUDY_SCALE"] = "smoke"  # inherited by the kernels in which nbval runs the notebooks; no record is kept
