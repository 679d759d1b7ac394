"""Formats, protocols and engines of other people: graders of courses, notebooks, editors, agents.

Each module stands on one library or one published format, and imports that library when it is used. Each library is an
extra of its own. Only the faces import this room; it imports everything below the faces.
"""
