"""The measuring room: from a GPU that serves to a run folder that `dcsim power train` reads.

A campaign file (`campaign`) becomes parts with every request fixed before the first is sent
(`plan`). `collect` plays them part by part on an OpenAI-compatible endpoint (`endpoint`,
`client`), while threads (`sampler`) read the GPUs (`nvml`), the engine's metrics (`scrape`,
`engine`) and, where there are any, DCGM and the server's own meter (`meters`). Each part leaves
one run folder (`record`, `folder`), which `check` judges. `import_logs` makes the same folders
of logs that others took.

The room knows the simulator's scenario language (lengths, arrivals, quantities) and the reader of
run folders in `dcsim.lab.learn`, because what it writes must be what that reads; nothing else.
"""
