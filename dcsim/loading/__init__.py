"""The loading room: from a scenario file to a scenario that can be played.

`dcsim.scenario` reads a file and checks it against itself and the catalogue. `load` adds what the
other rooms know: `rooms` asks control, power and serving whether they can build their part, and
workload surveys the traces. The command line, `dcsim.load` and the engine check by these.
"""
