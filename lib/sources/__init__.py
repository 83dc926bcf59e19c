"""Where recordings come from: every source gives the same table, a row a recording."""
from lib.sources.tables import check, folder, padded_share, recordings, subset, units

__all__ = ["recordings", "folder", "check", "units", "subset", "padded_share"]
