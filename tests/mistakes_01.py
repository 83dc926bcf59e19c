"""Typical mistakes in notebook 01's exercises, and words of the hint that each must get."""

MISTAKES = {
    "hidden_share": [(lambda mask: mask.keep.shape[1] / mask.hidden.shape[1], "share that is *visible*"),
                     (lambda mask: mask.hidden.sum(), "this is a count")],
}
