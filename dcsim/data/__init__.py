"""The data room: public request traces, fetched once into a cache for replays and fits.

`traces` lists them with address, licence and size, `places` says where they lie, `fetch` brings
one over the network: resumable, checked, whole or absent under its name. Nothing else in dcsim
uses the network.
"""
