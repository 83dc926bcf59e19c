"""What the lessons need besides the study: exercises with their checks, seeded faults, the set-up cell, the builder of notebooks."""
