"""Two packs over the same recorded events: who would be treated otherwise, and why. Pure, and cannot reach a sink."""
