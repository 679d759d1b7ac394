"""The evidence for an accuracy: training runs, records, checkpoints and samples."""
