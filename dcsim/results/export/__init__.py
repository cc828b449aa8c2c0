"""Results for other programs: tables for data tools, a net for pandapower, load shapes for OpenDSS.

Each target is a function `(Results, Path, ...) -> list[Path]` in a file of its own, which writes
under temporary names and renames what is whole. Libraries that only one of them needs are extras
of the package, and their absence is told (`needs`).
"""
