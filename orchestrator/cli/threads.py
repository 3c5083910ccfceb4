"""How many threads linear algebra uses in this process."""

from __future__ import annotations

import os


def one_thread() -> None:
    """Linear algebra on one thread, as in workers, so that sums are rounded alike; call before NumPy is loaded."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
