"""Lines of the terminal about the load: how busy servers were, autoscalers, what watts stand on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from dcsim.report.text import UNKNOWN, number, percent, seconds, watt_hours, watts
from dcsim.results.shares import BINDS, busy_text, number_text, slo_text

MOST_PARTS = 8
"""Of more streams, tenants or server groups than this, `--json` tells."""
GROUPS_SHOWN = 4
"""More server groups than this are told together."""
Row = Mapping[str, Any]


def busy_lines(rows: Sequence[Row]) -> Iterator[str]:
    """How busy each server group was, and the whole site where there are several."""
    groups = [row for row in rows if row["group"] is not None]
    shown = groups if len(groups) <= GROUPS_SHOWN else []
    for row in shown:
        seqs = row["max_num_seqs"]
        p95 = UNKNOWN if row["running_p95"] is None else f"{row['running_p95']:,}"
        yield (
            f"Load of {row['group']}: {busy_text(row)}; running p95 {p95}, at most {seqs}; KV "
            f"cache {percent(row['kv_mean'])}, highest {percent(row['kv_max'])}; "
            f"{_tokens(row)} a server; idle {percent(row['idle_share'])} of the time."
        )
    if len(groups) != 1 and rows:
        yield f"Load of the site: {busy_text(rows[-1])}; {_tokens(rows[-1])} a server."


def _tokens(row: Row) -> str:
    prompts, outputs = row["prompt_tokens_per_s_server"], row["decode_tokens_per_s_server"]
    if prompts is None or outputs is None:
        return f"{UNKNOWN} tokens/s"
    return f"{number(outputs)} tokens/s decoded and {number(prompts)} of prompts"


def breakdown_lines(breakdown: Mapping[str, Any]) -> Iterator[str]:
    """Latency, tokens and energy of each server group, stream and tenant, of kinds that there are
    several of; those that part the requests as others before are left out."""
    partings_shown: set[tuple[int, ...]] = set()
    for kind, word in (("groups", "Servers"), ("streams", "Stream"), ("tenants", "Tenant")):
        rows = breakdown.get(kind, ())
        parting = tuple(row["completed"] for row in rows)
        if len(rows) < 2 or len(rows) > MOST_PARTS or parting in partings_shown:
            continue
        partings_shown.add(parting)
        for row in rows:
            ttft, tpot = row["latency"]["ttft_s"], row["latency"]["tpot_s"]
            wh_per_1000 = row.get("wh_per_1000_tokens")
            energy = f", {watt_hours(row['energy_wh'])}" if row.get("energy_wh") is not None else ""
            energy += (
                f" ({wh_per_1000:.3g} Wh per 1,000 of them)" if wh_per_1000 is not None else ""
            )
            yield (
                f"{word} {row['name']}: {row['completed']:,} of {row['arrived']:,} requests, "
                f"{row['generated_tokens']:,} tokens generated{energy}; first token p50 / p95 "
                f"{seconds(ttft['p50'])} / {seconds(ttft['p95'])}, per token "
                f"{seconds(tpot['p50'])} / {seconds(tpot['p95'])}."
            )


def autoscale_lines(summary: Mapping[str, Any]) -> Iterator[str]:
    """What autoscalers did."""
    hours = summary["simulated_s"] / 3600.0
    replicas = {row["group"]: row["replicas"] for row in summary.get("serving", ())}
    for row in summary.get("autoscale", ()):
        count = replicas.get(row["group"])
        off = ""
        if count is not None and row["mean_on"] is not None:
            off = f" of {count}, {number_text((count - row['mean_on']) * hours)} replica-hours off"
        refused = f", {row['refused']:,} starts refused by a budget" if row["refused"] else ""
        yield (
            f"Autoscaler of {row['group']}: {row['started']:,} replicas started, "
            f"{row['stopped']:,} stopped{refused}; {_number(row['mean_on'])} on in the mean, "
            f"{_number(row['most_on'])} at most{off}."
        )


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else number_text(value)


def evidence_lines(evidence: Mapping[str, Any]) -> Iterator[str]:
    """Shares of the site's mean watts by what they stand on, then part by part."""
    if not evidence or evidence["mean_w"] is None:
        return
    whole_w = evidence["mean_w"]
    parts: dict[tuple[str, str, str], float] = {}
    for part in evidence["parts"]:
        # A GPU's source is long, and told beside its model.
        source = "" if part["what"] == "GPUs" else part["source"]
        key = (part["what"], part["evidence"], source)
        parts[key] = parts.get(key, 0.0) + part["mean_w"]
    by_part = "; ".join(
        f"{what} {watts(mean_w)} ({percent(mean_w / whole_w)}, {kind}{': ' if source else ''}"
        f"{source})"
        for (what, kind, source), mean_w in parts.items()
    )
    yield f"Watts: {evidence['text']}. {by_part}."


def capacity_tables(capacity: Mapping[str, Any]) -> Iterator[Table]:
    """What `dcsim serving capacity` prints: the server groups, and watts by share."""
    groups = _table("server group", "replicas", "requests/s a replica", "requests/s",
                    "running a replica", "of max_num_seqs", "KV cache", "what binds")  # fmt: skip
    for row in capacity["groups"]:
        groups.add_row(
            Text(row["group"]),
            f"{row['replicas']:,}",
            number_text(row["capacity_per_s_replica"], 3),
            number_text(row["capacity_per_s"]),
            number_text(row["running"], 3),
            percent(row["running"] / row["max_num_seqs"]),
            percent(row["kv_share"]),
            BINDS[row["binds"]],
        )
    groups.title = "estimated capacity within the SLO"
    yield groups
    if capacity["watts"]:
        played = _table("server group", "share of what was played", "requests/s of the site",
                        "time to first token", "time a token", "a server draws")  # fmt: skip
        for row in capacity["watts"]:
            played.add_row(
                Text(row["group"]),
                f"{100 * row['share']:.0f} %",
                number_text(row["requests_per_s"]),
                seconds(row["ttft_s"]),
                seconds(row["tpot_s"]),
                watts(row["server_w"]),
            )
        played.title = "played"
        yield played


def _table(*heads: str) -> Table:
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False, title_justify="left")
    for place, head in enumerate(heads):
        table.add_column(head, justify="right" if place else "left")
    return table


def capacity_lines(capacity: Mapping[str, Any]) -> Iterator[str]:
    """A sentence a served model."""
    for row in capacity["models"]:
        played = ""
        if row["played_per_s"] is not None:
            played = (
                f"; {number_text(row['played_per_s'])} when played "
                f"({row['played_replicas']} replicas, Poisson arrivals)"
            )
        yield (
            f"{row['model']}: {number_text(row['estimate_per_s'])} requests/s within "
            f"{slo_text(row['slo'])} by the estimate{played}. Requests: "
            f"{row['prompt_tokens_mean']:,.0f} prompt and {row['output_tokens_mean']:,.0f} output "
            "tokens in the mean."
        )
    if not capacity["models"]:
        yield "Nobody asks the site anything: there is no capacity without requests."
