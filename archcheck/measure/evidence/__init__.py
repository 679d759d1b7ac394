"""What stands behind a claim of accuracy: trainers at work, records, checkpoints, samples."""
