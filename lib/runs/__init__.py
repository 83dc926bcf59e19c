"""What a scale means, what a run costs, the record it leaves, the launcher of runs, and the tables of all of them.

Its names are fetched when they are first used, so that the launcher speaks before torch is imported."""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "record": ["VERSION", "Run", "start", "records", "beside", "reference", "paper"],
    "summary": ["headline", "closing"],
    "scales": ["SCALES", "PRESETS", "Scale", "scale", "clips", "front", "parse_ratio"]})
