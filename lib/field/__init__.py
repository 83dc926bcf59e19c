"""What people with recordings do with a pretrained encoder: a classifier that is kept, its answers, plans."""
