"""Read before any test or notebook is: whatever part of the suite runs, `auto` means the scale `smoke`."""
import os

if "PYTEST_XDIST_WORKER" in os.environ:  # one of several on these cores: a thread each, before anything loads torch
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["STUDY_SCALE"] = "smoke"  # inherited by the kernels in which nbval runs the notebooks; no record is kept
