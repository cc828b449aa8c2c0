"""The control room: policies that watch loads and command the fleet.

A policy is a small class behind one protocol (`policy.Policy`): at its own period it is shown
telemetry that is as old as its stated delay, and answers with commands, which the engine obeys
once their delay has passed. Policies never touch replicas or breakers themselves.
"""
