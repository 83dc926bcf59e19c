"""What a pretrained encoder is good for: probes, finetuning, curation, and what it has to be compared with."""
