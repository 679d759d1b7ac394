"""What was measured of a subject, as frozen data with a JSON form, and the snapshot of it that is committed.

It imports `foundation`.
"""
