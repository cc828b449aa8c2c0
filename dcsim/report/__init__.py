"""The report room: what a person sees. `live` while a run goes, `terminal` when it has ended."""
