"""Broken input over every reader: ``python -m tests.hostile`` prints kind x reader x outcome.

Small intact inputs are cut from real cohorts (`material`), spoiled with regard to their
structure (`mutations`, `archives`, `hdf5`, `yamls`), and read by the project in a process of its
own with a limit on memory and time (`guard`). Each must end in an error of the project's own
hierarchy, in one sentence, or in a right result.
"""
