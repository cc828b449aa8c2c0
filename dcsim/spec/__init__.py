"""The spec room: how a file that a user writes becomes checked data.

`base.Spec` is the base of every model of a scenario, a catalogue or a campaign; `units` has its
quantities; `document` reads YAML and remembers where each part stands; `validation` words what
pydantic refuses, each problem with file, line and path.
"""
