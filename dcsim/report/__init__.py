"""The report room: what a person sees.

`live` while a run goes, `terminal` when it has ended, `page` as a file of HTML with everything in
it, `oneline` as a diagram of the site. It reads scenarios (what hangs from what), results and
studies, and runs nothing.
"""
