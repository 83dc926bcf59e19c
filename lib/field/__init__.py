"""What people with recordings do with a pretrained encoder: a classifier that is kept, its answers, plans, what to
label next, embeddings for other programs."""
