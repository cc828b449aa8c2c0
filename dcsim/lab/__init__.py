"""The laboratory: what makes and judges power models, which no simulation needs.

`measure` leads from a GPU that serves to a folder of measured runs, `learn` from such folders to
packs and to their errors, `bench` plays one replica alone, `sensor` has what GPUs' sensors show of
true power, and `prometheus` reads the text of metrics. Only commands import it. It needs
`pip install 'dcsim[lab]'`: PyTorch and scikit-learn to train, aiohttp and NVML to measure.
"""
