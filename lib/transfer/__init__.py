"""What a pretrained encoder is good for: probes, finetuning, curation, a classifier of your own recordings."""
