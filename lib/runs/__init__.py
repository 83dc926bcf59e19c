"""What a scale means, what a run costs, the record it leaves, the launcher that makes runs, and the tables and figures of all of them."""
from lib.runs.record import VERSION, Run, beside, headline, paper, records, reference, start
from lib.runs.scales import PRESETS, SCALES, Scale, clips, parse_ratio, scale

__all__ = ["VERSION", "SCALES", "PRESETS", "Scale", "scale", "clips", "parse_ratio", "Run", "start", "headline", "records", "beside", "reference", "paper"]
