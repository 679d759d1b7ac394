"""Compare archcheck's counts with those of another counter, and explain the differences."""
