// The other charts: heat map, load-duration curves, smoothing, latency beside power.
D.chartset = (() => {
  const kinds = (select, least) => {
    D.model.levels.forEach((level) => select.append(D.el("option", { value: level.kind },
      `${level.kind} (${level.nodes.length})`)));
    const many = D.model.levels.filter((level) => level.nodes.length >= least);
    const racks = many.find((level) => level.kind === "rack");
    select.value = (racks || many[many.length - 1] || D.model.levels[D.model.levels.length - 1]).kind;
  };
  const levelOf = (select) => D.model.levels.find((level) => level.kind === select.value);

  const MOST_TIMES = 360, MOST_ROWS = 240;
  const heat = () => {
    const place = D.get("heat"), select = D.get("heat-kind");
    const level = levelOf(select);
    const nodes = level.nodes.slice(0, MOST_ROWS);
    const rated = nodes.every((node) => D.model.nodes[node].limit_w);
    let step = 1;
    const z = nodes.map((node) => {
      const found = D.series.means(node, MOST_TIMES);
      step = found.step_s;
      const limit = rated ? D.model.nodes[node].limit_w : 1;
      return Array.from(found.mean, (v) => (Number.isNaN(v) ? null : v / limit));
    });
    const names = D.short(nodes.map((n) => D.model.nodes[n].name));
    const x = z[0].map((_, i) => D.date((i + 0.5) * step));
    const dark = document.documentElement.dataset.theme === "dark";
    const flat = z.flat().filter((v) => v !== null);
    const high = flat.reduce((a, b) => Math.max(a, b), 0);
    const low = flat.reduce((a, b) => Math.min(a, b), high);
    const stretched = D.get("heat-stretch").checked;
    const scale = stretched ? (dark ? [[0, "#141b22"], [0.5, "#2f6690"], [1, "#a8dbf7"]] : [[0, "#f5f8fa"], [0.5, "#7fb3d8"], [1, "#08406b"]]) : dark
      ? [[0, "#141b22"], [0.25, "#17394f"], [0.5, "#2f6690"], [0.75, "#8fb8a0"], [0.9, "#f0c04a"], [1, "#e8703a"]]
      : [[0, "#f5f8fa"], [0.25, "#dcebf5"], [0.5, "#9fcae6"], [0.75, "#5b9cc9"], [0.9, "#f3c969"], [1, "#d9642c"]];
    const top = rated ? Math.max(1, high) : high || 1;
    const height = Math.min(620, Math.max(180, 70 + nodes.length * 14));
    D.plots.react(place, [{ type: "heatmap", x, y: nodes.map((_, i) => i), z, zmin: stretched ? low : 0, zmax: stretched ? high : top, colorscale: scale,
      text: z.map((row, r) => row.map((v, c) => `<b>${D.safe(D.model.nodes[nodes[r]].name)}</b> ${D.clock((c + 0.5) * step)}<br>${v === null ? "unknown" : rated ? D.percent(v) + " of its rating" : D.watts(v)}`)),
      hovertemplate: "%{text}<extra></extra>",
      colorbar: { thickness: 10, outlinewidth: 0, tickformat: rated ? ".0%" : ".3~s", ticksuffix: rated ? "" : "W",
        tickfont: { color: D.css("soft"), size: 11 } } }],
    { height, margin: { l: 110, r: 10, t: 8, b: 36 }, hovermode: "closest",
      xaxis: D.plots.timeAxis({ showgrid: false }), yaxis: { autorange: "reversed", showgrid: false,
        tickvals: nodes.map((_, i) => i).filter((i) => i % Math.ceil(nodes.length / 30) === 0),
        ticktext: names.filter((_, i) => i % Math.ceil(nodes.length / 30) === 0).map(D.safe) } });
    D.get("heat-note").textContent = `Means over ${D.span(step)}${rated ? ", as shares of each rating" : ""}` +
      `${level.nodes.length > MOST_ROWS ? `; the first ${MOST_ROWS} of ${level.nodes.length}` : ""}.`;
    place.setAttribute("aria-label", `${level.kind} loads over time; highest mean ${rated ? D.percent(high) + " of the rating" : D.watts(high)}`);
  };

  const duration = () => {
    const place = D.get("duration"), level = levelOf(D.get("duration-kind"));
    const nodes = level.nodes.filter((n) => D.model.nodes[n].duration_w).slice(0, 80);
    const x = D.model.shares.map((s) => 100 * s);
    const hot = [...nodes].sort((a, b) => D.model.nodes[b].peak_w - D.model.nodes[a].peak_w)[0];
    const traces = nodes.map((node) => ({ x, y: D.model.nodes[node].duration_w, type: "scatter", mode: "lines",
      line: { width: node === hot ? 2.2 : 1, color: node === hot ? D.css("s0") : `${D.css("s6")}88` },
      hovertemplate: `<b>${D.safe(D.model.nodes[node].name)}</b><br>%{y:.3~s}W or more for %{x:.2f} % of the time<extra></extra>` }));
    traces.sort((a, b) => a.line.width - b.line.width);
    const limit = hot === undefined ? null : D.model.nodes[hot].limit_w;
    D.plots.react(place, traces, { height: 300, hovermode: "closest",
      xaxis: { title: { text: "share of time, %", font: { size: 12, color: D.css("soft") } }, range: [-1, 101], ticksuffix: "" },
      yaxis: { rangemode: "tozero", ticksuffix: "W", tickformat: ".3~s" },
      shapes: limit ? [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: limit, y1: limit, line: { color: D.css("h3"), width: 1.3, dash: "dash" } }] : [],
      annotations: hot === undefined ? [] : [{ x: 100, y: D.model.nodes[hot].duration_w[D.model.shares.length - 1], xanchor: "right", yanchor: "top",
        text: `<b>${D.safe(D.model.nodes[hot].name)}</b>`, showarrow: false, font: { size: 11.5, color: D.css("s0") } }] });
    place.setAttribute("aria-label", `Load-duration curves of level ${level.kind}${hot === undefined ? "" : `; highest: ${D.model.nodes[hot].name}, peak ${D.watts(D.model.nodes[hot].peak_w)}, median ${D.watts(D.model.nodes[hot].duration_w[(D.model.shares.length - 1) >> 1])}`}`);
  };

  const median = (values) => {
    const sorted = values.filter((v) => v !== undefined && v !== null).sort((a, b) => a - b);
    return sorted.length ? (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2 : null;
  };
  const below = () => {
    const count = D.model.nodes.map((node) => (node.kind === "server" ? 1 : 0));
    for (let i = count.length - 1; i > 0; i -= 1) {
      // Nodes stand kind by kind, so children come after their parents.
      if (D.model.nodes[i].parent >= 0) count[D.model.nodes[i].parent] += count[i];
    }
    return count;
  };
  const smoothing = () => {
    const counts = below();
    const widths = D.model.averaged_s.map(String);
    const rows = D.model.levels.map((level) => ({ kind: level.kind, servers: median(level.nodes.map((n) => counts[n])),
      all: level.nodes, by: Object.fromEntries(widths.map((w) => [w, median(level.nodes.map((n) => D.model.nodes[n].variation[w]))])) }));
    const steps = (row) => row.by[widths[0]] ?? row.by["1"] ?? null;
    const drawn = rows.filter((row) => row.servers && steps(row));
    const server = rows.find((row) => row.kind === "server");
    const traces = [];
    const most = Math.max(...drawn.map((row) => row.servers), 1);
    if (server && steps(server)) {
      traces.push({ x: [1, most], y: [steps(server), steps(server) / Math.sqrt(most)], mode: "lines", type: "scatter",
        line: { dash: "dash", color: D.css("s6"), width: 1.3 }, hoverinfo: "skip" });
    }
    drawn.forEach((row) => traces.push({ x: row.all.map((n) => counts[n] || null), y: row.all.map((n) => D.model.nodes[n].variation[widths[0]] ?? D.model.nodes[n].variation["1"] ?? null),
      mode: "markers", type: "scatter", marker: { size: 6, color: `${D.css("s1")}99` }, hoverinfo: "skip" }));
    traces.push({ x: drawn.map((r) => r.servers), y: drawn.map(steps), mode: "markers", type: "scatter",
      marker: { size: 10, color: D.css("s0") }, hovertemplate: "%{text}<extra></extra>",
      text: drawn.map((r) => `<b>${D.safe(r.kind)}</b>: ${D.percent(steps(r))} with ${r.servers} servers below`) });
    const named = new Map();
    drawn.forEach((r) => { const key = r.servers; named.set(key, [...(named.get(key) || []), r]); });
    D.plots.react(D.get("smoothing"), traces, { height: 240, hovermode: "closest",
      xaxis: { type: "log", title: { text: "servers below", font: { size: 12, color: D.css("soft") } }, tickvals: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000] },
      yaxis: { type: "log", tickvals: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2], tickformat: ".1~%" },
      annotations: [...named.values()].map((group) => ({ x: Math.log10(group[0].servers), y: Math.log10(Math.max(...group.map(steps))), text: D.safe(group.map((r) => r.kind).join(", ")),
        showarrow: false, yshift: 14, xshift: group[0].servers === most ? -12 : group[0].servers === 1 ? 16 : 0, font: { size: 11.5, color: D.css("soft") } })) });
    const name = (w) => D.span(Number(w));
    const used = widths.filter((w, i) => widths.indexOf(w) === i && rows.some((r) => r.by[w] !== null));
    D.get("smoothing-table").replaceChildren(D.el("table", { class: "plain" },
      D.el("thead", {}, D.el("tr", {}, D.el("th", { scope: "col" }, "level"), ...used.map((w) => D.el("th", { scope: "col", class: "n" }, name(w))))),
      D.el("tbody", {}, ...rows.map((r) => D.el("tr", {}, D.el("td", {}, r.kind),
        ...used.map((w) => D.el("td", { class: "n" }, r.by[w] === null ? "–" : D.percent(r.by[w]))))))));
  };

  const traffic = () => {
    const place = D.get("traffic"), t = D.model.traffic;
    if (!t) { D.get("traffic-note").textContent = "The scenario kept no requests (record: {requests: false})."; place.style.minHeight = 0; return; }
    const x = t.arrived.map((_, i) => D.date(i * t.width_s));
    const line = (y, name, colour, yaxis, more = {}) => ({ x, y, name, yaxis, type: "scatter", mode: "lines", connectgaps: false,
      line: { width: 1.6, color: D.css(colour), shape: "hv" }, hovertemplate: `${name} %{customdata}<extra></extra>`,
      customdata: y.map((v) => (v === null ? "–" : more.told(v))), ...more.extra });
    const rate = (v) => `${v.toPrecision(3)} /s`;
    const site = D.series.means(D.model.levels[0].nodes[0], 800);
    const traces = [
      { x: Array.from(site.mean, (_, i) => D.date(i * site.step_s)), y: Array.from(site.mean), yaxis: "y", type: "scatter", mode: "lines",
        line: { width: 1.6, color: D.css("s0"), shape: "hv" }, hovertemplate: "site %{y:.4~s}W<extra></extra>" },
      line(t.arrived, "arrived", "s6", "y2", { told: rate }),
      line(t.good, t.has_slo ? "within SLO" : "completed", "s4", "y2", { told: rate }),
      line(t.lost, "came to nothing", "s3", "y2", { told: rate, extra: { line: { width: 1.6, color: D.css("s3"), shape: "hv", dash: "dot" } } }),
      line(t.ttft_s.p50, "first token, median", "s0", "y3", { told: D.seconds }),
      line(t.ttft_s.p99, "first token, p99", "s1", "y3", { told: D.seconds }),
      line(t.tpot_s.p50, "per token, median", "s3", "y4", { told: D.seconds }),
      line(t.tpot_s.p99, "per token, p99", "s2", "y4", { told: D.seconds })];
    const titles = [["site power", []], ["requests per second", [["arrived", "s6"], [t.has_slo ? "within SLO" : "completed", "s4"], ["came to nothing", "s3"]]],
      ["time to first token", [["median", "s0"], ["p99", "s1"]]], ["time per output token", [["median", "s3"], ["p99", "s2"]]]];
    const notes = titles.map(([title, keys], i) => ({ xref: "paper", yref: "paper", x: 0, y: 1 - i * 0.25 - 0.005, xanchor: "left", yanchor: "top", showarrow: false,
      text: `<b>${title}</b>  ${keys.map(([k, c]) => `<span style="color:${D.css(c)}">━ ${k}</span>`).join("  ")}`, font: { size: 12 } }));
    const domain = (i) => [1 - (i + 1) * 0.25 + 0.03, 1 - i * 0.25 - 0.05];
    const ticks = [-3, -2, -1, 0, 1, 2, 3].flatMap((e) => [1, 2, 5].map((d) => Number(`${d}e${e}`)));
    const log = { type: "log", tickvals: ticks, ticktext: ticks.map((v) => (v < 1 ? `${v * 1000} ms` : `${v} s`)) };
    D.plots.react(place, traces, { height: 620, margin: { l: 68, r: 14, t: 4, b: 40 }, annotations: notes,
      xaxis: D.plots.timeAxis({ anchor: "y4", range: [D.date(0), D.date(D.model.duration_s)] }),
      yaxis: { domain: domain(0), ticksuffix: "W", tickformat: ".3~s", rangemode: "tozero", nticks: 4, fixedrange: true },
      yaxis2: { domain: domain(1), rangemode: "tozero", nticks: 4, fixedrange: true },
      yaxis3: { domain: domain(2), ...log, fixedrange: true }, yaxis4: { domain: domain(3), ...log, fixedrange: true } });
    D.get("traffic-note").textContent = `By time of arrival, in intervals of ${D.span(t.width_s)}; percentiles of completed requests, to 1 %. Requests still running at the end count neither way. ` +
      (t.has_slo ? "" : "No tenant of this scenario has an SLO, so goodput is what completed.");
  };

  const start = () => {
    if (!D.get("heat")) return;
    kinds(D.get("heat-kind"), 2);
    kinds(D.get("duration-kind"), 1);
    D.get("duration-kind").value = D.model.levels.length > 1 ? D.model.levels[Math.max(0, D.model.levels.findIndex((l) => l.kind === "row"))].kind : D.model.levels[0].kind;
    D.get("heat-kind").addEventListener("change", heat);
    D.get("heat-stretch").addEventListener("change", heat);
    D.get("duration-kind").addEventListener("change", duration);
    [["heat", heat], ["duration", duration], ["smoothing", smoothing], ["traffic", traffic]].forEach(([id, draw]) => D.plots.lazy(id, draw));
  };
  return { start };
})();
