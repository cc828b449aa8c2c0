"""How packs are made and judged.

`runs` reads measured runs into ledgers and watts, `states` fits mixtures and labels, `targets`
carries a published mixture onto simulated work, `train` fits the shared GRU and its heads,
`metrics` compares generated with measured power.
"""
