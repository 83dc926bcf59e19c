"""What the lessons need besides the study: exercises that answer, seeded faults, the set-up cell, the builder."""
