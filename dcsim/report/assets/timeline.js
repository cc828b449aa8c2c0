// Load over time: one panel a level, one lane of flags, redrawn from the pyramid at every zoom.
D.timeline = (() => {
  const LANE = 66, MOST_POINTS = 1400, MOST_MARKS = 1500, MOST_LINES = 60, MOST_OPTIONS = 3000;
  // Each kind of flag has a lane and a colour, shared with those as grave, and a mark of its own.
  const CLASSES = [
    { name: "trip or dark", colour: "s3", marks: { trip: "x", dark: "square", depleted: "triangle-down", fault: "star" } },
    { name: "over a limit", colour: "s2", marks: { overload: "triangle-up", demand: "diamond", ramp: "triangle-right",
      continuous: "square", predicted: "triangle-up-open" } },
    { name: "warning", colour: "s1", marks: { warning: "triangle-up-open", "on-battery": "hourglass", bypass: "diamond-wide-open",
      "redundancy-lost": "cross-open", "cooling-lost": "star-open", transfer: "bowtie-open" } },
    { name: "back in order", colour: "s4", marks: { cleared: "circle-open", restored: "circle", repaired: "square-open", reclosed: "x-open" } },
    { name: "policy action", colour: "s7", marks: { limited: "diamond", braked: "diamond-x", released: "diamond-open" } },
  ];
  const ACTION = CLASSES[4];
  let shown = [], place = null, from_s = 0, to_s = 1, fit = false, busy = false, flagged = -1;

  const classOf = (kind) => CLASSES.findIndex((c) => kind in c.marks);
  const hottest = (nodes) => nodes.reduce((best, node) => {
    const share = (n) => { const d = D.model.nodes[n]; return d.limit_w ? d.peak_w / d.limit_w : (d.peak_w || 0) * 1e-12; };
    return share(node) > share(best) ? node : best;
  }, nodes[0]);

  const controls = () => {
    const bar = D.get("timeline-nodes");
    shown = D.model.levels.map((level) => ({ level, node: hottest(level.nodes), on: true }));
    if (shown.length > 5) shown.forEach((panel, i) => { panel.on = i === 0 || i >= shown.length - 4; });
    shown.forEach((panel) => {
      const check = D.el("input", { type: "checkbox", "aria-label": `Show level ${panel.level.kind}`,
        onchange: () => { panel.on = check.checked; draw(); } });
      check.checked = panel.on;
      panel.check = check;
      const select = D.el("select", { "aria-label": `${panel.level.kind} shown`,
        onchange: () => { panel.node = Number(select.value); check.checked = panel.on = true; draw(); } });
      panel.level.nodes.slice(0, MOST_OPTIONS).forEach((node) => select.append(
        D.el("option", { value: node }, D.model.nodes[node].name)));
      select.value = panel.node;
      panel.select = select;
      bar.append(D.el("label", {}, check, panel.level.kind, panel.level.nodes.length > 1 ? select : null));
    });
  };

  const axis = (i) => (i ? `y${i + 1}` : "y");

  const draw = () => {
    const width = place.clientWidth || 900;
    const most = Math.min(MOST_POINTS, Math.max(300, width));
    const panels = shown.filter((panel) => panel.on);
    const PANEL = panels.length < 5 ? 142 : 118;
    const height = panels.length * PANEL + LANE + 36;
    const inner = height - 36;
    const traces = [], shapes = [], notes = [];
    const layout = { height, margin: { l: 68, r: 14, t: 8, b: 28 }, dragmode: "zoom", uirevision: "keep",
      xaxis: D.plots.timeAxis({ range: [D.date(from_s), D.date(to_s)], anchor: axis(panels.length) }) };
    let finest = Infinity;
    // Grey: the warm-up, which no figure sees.
    if (D.model.warm_up_s > from_s) {
      shapes.push({ type: "rect", xref: "x", x0: D.date(0), x1: D.date(D.model.warm_up_s), yref: "paper", y0: 0, y1: 1,
        fillcolor: `${D.css("soft")}22`, line: { width: 0 }, layer: "below" });
    }
    panels.forEach((panel, i) => {
      const data = D.model.nodes[panel.node];
      const view = D.series.view(panel.node, from_s, to_s, most);
      finest = Math.min(finest, view.finest_s);
      const x = view.x.map(D.date);
      const base = { x, yaxis: axis(i), type: "scatter", mode: "lines" };
      const colour = D.css("s0");
      if (view.mean.some((v, k) => v !== view.max[k])) {
        traces.push({ ...base, y: view.min, line: { width: 0, shape: "hv" }, hoverinfo: "skip" });
        traces.push({ ...base, y: view.max, line: { width: 0, shape: "hv" }, hoverinfo: "skip", fill: "tonexty",
          fillcolor: `${D.css("s1")}55` });
      }
      traces.push({ ...base, y: view.mean, line: { width: 1.5, color: colour, shape: "hv" },
        customdata: view.x.map((at, k) => [D.clock(at, view.step_s < 1), D.watts(view.mean[k]), D.watts(view.min[k]), D.watts(view.max[k])]),
        hovertemplate: `<b>${D.safe(data.name)}</b> %{customdata[0]}<br>mean %{customdata[1]}, %{customdata[2]} to %{customdata[3]}<extra></extra>` });
      const known = (list) => list.filter((v) => v !== null);
      let low = Math.min(...known(view.min)), high = Math.max(...known(view.max));
      if (!Number.isFinite(low)) { low = 0; high = 1; }
      const stated = data.limits || [];
      if (!fit) { low = 0; high = Math.max(high, data.limit_w || 0, ...stated.map((one) => one.limit_w)); }
      const pad = (high - low || Math.abs(high) || 1) * 0.08;
      const top = 1 - (i * PANEL + 22) / inner, bottom = 1 - ((i + 1) * PANEL - 6) / inner;
      layout[i ? `yaxis${i + 1}` : "yaxis"] = { domain: [bottom, top], range: [fit ? low - pad : 0, high + pad],
        fixedrange: true, nticks: 4, ticksuffix: "W", tickformat: ".3~s", anchor: "x" };
      if (data.limit_w && data.limit_w < high + pad) {
        shapes.push({ type: "line", xref: "paper", x0: 0, x1: 1, yref: axis(i), y0: data.limit_w, y1: data.limit_w,
          line: { color: D.css("h3"), width: 1.3, dash: "dash" } });
      }
      const lines = new Map();
      stated.filter((one) => one.limit_w < high + pad).forEach((one) =>
        lines.set(one.limit_w, [...(lines.get(one.limit_w) || []), one.text]));
      lines.forEach((texts, limit_w) => {
        shapes.push({ type: "line", xref: "paper", x0: 0, x1: 1, yref: axis(i), y0: limit_w, y1: limit_w,
          line: { color: D.css("s3"), width: 1.6, dash: "dot" } });
        notes.push({ text: `<span style="color:${D.css("s3")}">${D.safe(texts.join(", "))}</span>`, xref: "paper", x: 1, xanchor: "right",
          yref: axis(i), y: limit_w, yanchor: "bottom", showarrow: false, font: { size: 11 } });
      });
      const coarse = view.finest_s > panel.level.recorded_s && (to_s - from_s) / view.finest_s < most / 4;
      const limit = (coarse ? `kept every ${D.span(view.finest_s)} here; ` : "") + (data.limit_w ? `rating ${D.watts(data.limit_w)}, peak ${D.percent(data.peak_w / data.limit_w)} of it`
        : `${stated.length ? "" : "no rating, "}peak ${D.watts(data.peak_w)}`) + stated.map((one) =>
        `; ${D.safe(one.text)}${one.highest_w === null ? "" : `, highest ${D.watts(one.highest_w)}`}`).join("");
      notes.push({ text: `<b>${D.safe(data.name)}</b>  <span style="color:${D.css("soft")}">${limit}</span>`, xref: "paper", yref: "paper",
        x: 0, y: 1 - (i * PANEL + 19) / inner, xanchor: "left", yanchor: "bottom", showarrow: false, font: { size: 12 } });
    });
    const marks = flags(panels.length, traces, shapes);
    layout[panels.length ? `yaxis${panels.length + 1}` : "yaxis"] = { domain: [0, Math.max(0.01, (LANE - 22) / inner)],
      range: [-0.7, 4.7], fixedrange: true, showgrid: false, zeroline: false, showticklabels: false, anchor: "x" };
    notes.push({ text: `<b>Flags</b>  <span style="color:${D.css("soft")}">${marks}</span>`, xref: "paper", yref: "paper", x: 0,
      y: (LANE - 20) / inner, xanchor: "left", yanchor: "bottom", showarrow: false, font: { size: 12 } });
    layout.shapes = shapes;
    layout.annotations = notes;
    busy = true;
    D.plots.react(place, traces, layout).then(() => { busy = false; });
    const many = to_s - from_s;
    D.get("timeline-span").textContent = `${D.clock(from_s, many < 60)} to ${D.clock(to_s, many < 60)} (${D.span(many)}); ` +
      `drawn in intervals of ${Number.isFinite(finest) ? D.span(finest) : "–"} or more, recorded every ${D.span(D.model.step_s)}.`;
    place.setAttribute("aria-label", `Load over time from ${D.clock(from_s)} to ${D.clock(to_s)}: ${panels.map((p) =>
      `${D.model.nodes[p.node].name}, peak of the run ${D.watts(D.model.nodes[p.node].peak_w)}`).join("; ")}`);
  };

  const flags = (index, traces, shapes) => {
    const events = D.model.events;
    const groups = new Map();
    let seen = 0;
    const lines = { trips: 0, actions: 0 };
    for (let i = 0; i < events.time_s.length; i += 1) {
      const at = events.time_s[i];
      if (at < from_s || at > to_s) continue;
      seen += 1;
      if (seen > MOST_MARKS) continue;
      const row = classOf(events.kind[i]);
      if (!groups.has(row)) groups.set(row, []);
      groups.get(row).push(i);
      // Trips, and what a policy did, are drawn through the loads: what came of it is seen there.
      const acted = row === 4 && events.kind[i] !== "released";
      if ((row === 0 && lines.trips++ < MOST_LINES) || (acted && lines.actions++ < MOST_LINES)) {
        for (let panel = 0; panel <= index; panel += 1) {
          shapes.push({ type: "line", x0: D.date(at), x1: D.date(at), xref: "x", yref: `${axis(panel)} domain`, y0: 0, y1: 1,
            line: { color: D.css(acted ? ACTION.colour : "h3"), width: events.kind[i] === "braked" ? 1.8 : 1, dash: "dot" }, layer: "below" });
        }
      }
    }
    CLASSES.forEach((kind, row) => {
      const found = groups.get(row) || [];
      traces.push({ x: found.map((i) => D.date(events.time_s[i])), y: found.map(() => 4 - row), yaxis: axis(index),
        type: "scatter", mode: "markers", marker: { size: kind === ACTION ? 9 : 8, color: D.css(kind.colour),
          symbol: found.map((i) => kind.marks[events.kind[i]]) },
        text: found.map((i) => `${events.kind[i]} ${D.safe(D.model.nodes[events.node[i]].name)}<br>${D.clock(events.time_s[i], true)} ${D.safe(events.message[i])}`),
        hovertemplate: "%{text}<extra></extra>" });
    });
    return seen ? `${seen.toLocaleString("en")} in this span${seen > MOST_MARKS ? `, the first ${MOST_MARKS} drawn` : ""}` : "none in this span";
  };

  const show = (from, to) => {
    const total = D.model.duration_s;
    const least = Math.min(total, Math.max(1, 2 * D.model.step_s));
    let width = Math.min(total, Math.max(least, to - from));
    let start = Math.max(0, Math.min(total - width, (from + to - width) / 2));
    from_s = start;
    to_s = start + width;
    draw();
  };
  const zoom = (width) => { const middle = (from_s + to_s) / 2; show(middle - width / 2, middle + width / 2); };
  const pan = (by) => { const step = (to_s - from_s) * by * 0.5; show(from_s + step, to_s + step); };

  // To a moment, keeping the span if it is short already.
  const go = (time_s) => { const half = Math.min(60, (to_s - from_s) / 2); show(time_s - half, time_s + half); };

  const peak = () => {
    const views = D.series.pyramid(D.model.levels[0].nodes[0])[0];
    let best = Math.min(views.max.length - 1, Math.ceil((D.model.warm_up_s || 0) / views.step_s - 1e-9));
    for (let i = best; i < views.max.length; i += 1) if (!(views.max[i] <= views.max[best])) best = i;
    go((best + 0.5) * views.step_s);
  };
  const nextFlag = () => {
    const times = D.model.events.time_s;
    if (!times.length) return;
    flagged = (flagged + 1) % times.length;
    go(times[flagged]);
  };

  const start = () => {
    place = D.get("timeline");
    if (!place) return;
    to_s = D.model.duration_s;
    controls();
    D.plots.lazy("timeline", () => {
      const first = !place._fullLayout;
      draw();
      if (!first) return;
      place.on("plotly_relayout", (change) => {
        if (busy) return;
        if (change["xaxis.range[0]"] !== undefined) show(D.time(change["xaxis.range[0]"]), D.time(change["xaxis.range[1]"]));
        else if (change["xaxis.autorange"]) show(0, D.model.duration_s);
      });
      place.on("plotly_doubleclick", () => { show(0, D.model.duration_s); return false; });
    });
    document.querySelectorAll("[data-zoom]").forEach((button) => button.addEventListener("click", () => (
      button.dataset.zoom === "all" ? show(0, D.model.duration_s) : zoom(Number(button.dataset.zoom)))));
    document.querySelectorAll("[data-pan]").forEach((button) => button.addEventListener("click", () => pan(Number(button.dataset.pan))));
    document.querySelector("[data-go=peak]").addEventListener("click", peak);
    document.querySelector("[data-go=flag]").addEventListener("click", nextFlag);
    D.get("timeline-fit").addEventListener("change", (change) => { fit = change.target.checked; draw(); });
    place.addEventListener("keydown", (event) => {
      const deeds = { ArrowLeft: () => pan(-1), ArrowRight: () => pan(1), "+": () => zoom((to_s - from_s) / 2),
        "=": () => zoom((to_s - from_s) / 2), "-": () => zoom((to_s - from_s) * 2), Home: () => show(0, D.model.duration_s) };
      if (deeds[event.key]) { event.preventDefault(); deeds[event.key](); }
    });
    D.hooks.node.push((node) => {
      const panel = shown.find((p) => p.level.kind === D.model.nodes[node].kind);
      panel.node = node;
      panel.on = panel.check.checked = true;
      panel.select.value = node;
      if (place._fullLayout) draw();
    });
  };

  return { start, show, go, classOf, span: () => [from_s, to_s], CLASSES };
})();
