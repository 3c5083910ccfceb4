"""Learning curves as inline SVG."""

from __future__ import annotations

import io

from policies.learning.training import Curve


def curve_svg(curve: Curve) -> str:
    """Progressive mean squared loss per learning rate against decisions learned from."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "journey", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure = Figure(figsize=(8, 3.2), layout="constrained")
        axes = figure.subplots()
        styles = ("-", "--", "-.", ":", (0, (1, 1)))
        best = min(range(len(curve.rates)), key=lambda r: curve.loss[-1, r])
        for r, rate in enumerate(curve.rates):
            chosen = " (chosen)" if r == best else ""
            axes.plot(
                curve.decisions,
                curve.loss[:, r],
                linestyle=styles[r % len(styles)],
                linewidth=2.4 if r == best else 1.2,
                label=f"rate {rate:g}{chosen}",
            )
        axes.set_xlabel("decisions learned from")
        axes.set_ylabel("mean squared error of predictions\nmade before learning")
        low = float(curve.loss[:, best].min())
        axes.set_ylim(bottom=0.9 * low, top=2.5 * float(curve.loss[-1, best]))
        figure.legend(loc="outside lower center", ncols=len(curve.rates), frameon=False, fontsize="small")
        axes.spines[["top", "right"]].set_visible(False)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]
