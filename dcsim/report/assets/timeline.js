/** Load over time: one panel a level, one lane of flags, redrawn from the packed loads at every zoom. */
D.timeline = (() => {
  const LANE = 66; // px of the lane of flags, and of what stands below it
  const FOOT = 36;
  const MOST_POINTS = 1400;
  const MOST_MARKS = 1500;
  const MOST_LINES = 60;
  const MOST_OPTIONS = 3000;
  const OUTAGE = 0; // places of classes in D.model.flags
  const ACTION = 4;
  let place = null;
  let panels = [];
  let [from_s, to_s] = [0, 1];
  let fit = false;
  let busy = false;
  let flagged = -1;

  const classOf = (kind) => D.model.flags.findIndex(({ marks }) => kind in marks);
  const axis = (number) => (number ? `y${number + 1}` : "y");
  const axisKey = (number) => `yaxis${number ? number + 1 : ""}`;
  const soft = (text) => `<span style="color:${D.css("soft")}">${text}</span>`;

  /** Of nodes the one nearest to its limit. */
  const fullest = (nodes) => {
    const share = (index) => {
      const { limit_w, peak_w } = D.model.nodes[index];
      return limit_w ? peak_w / limit_w : (peak_w || 0) * 1e-12;
    };
    return nodes.reduce((best, node) => (share(node) > share(best) ? node : best), nodes[0]);
  };

  const addControls = (panel) => {
    const { kind, nodes } = panel.level;
    panel.check = D.el("input", {
      type: "checkbox",
      "aria-label": `Show level ${kind}`,
      checked: panel.on,
      onchange: () => {
        panel.on = panel.check.checked;
        draw();
      },
    });
    panel.select = D.el("select", {
      "aria-label": `${kind} shown`,
      onchange: () => {
        pick(panel, Number(panel.select.value));
        draw();
      },
    });
    nodes.slice(0, MOST_OPTIONS).forEach((node) =>
      panel.select.append(D.el("option", { value: node }, D.model.nodes[node].name)));
    panel.select.value = panel.node;
    D.get("timeline-nodes").append(D.el("label", {}, panel.check, kind, nodes.length > 1 ? panel.select : null));
  };

  const pick = (panel, node) => {
    panel.node = node;
    panel.on = true;
    panel.check.checked = true;
    panel.select.value = node;
  };

  /** Lines, band, limits and heading of one panel, into `figure`. */
  const drawPanel = (panel, number, figure, height, inner) => {
    const { traces, shapes, notes, layout } = figure;
    const data = D.model.nodes[panel.node];
    const most = Math.min(MOST_POINTS, Math.max(300, place.clientWidth || 900));
    const view = D.series.view(panel.node, from_s, to_s, most);
    const base = { x: view.x.map(D.date), yaxis: axis(number), type: "scatter", mode: "lines" };
    if (view.mean.some((value, k) => value !== view.max[k])) {
      const edge = { ...base, line: { width: 0, shape: "hv" }, hoverinfo: "skip" };
      traces.push({ ...edge, y: view.min });
      traces.push({ ...edge, y: view.max, fill: "tonexty", fillcolor: `${D.css("s1")}55` });
    }
    traces.push({
      ...base,
      y: view.mean,
      line: { width: 1.5, color: D.css("s0"), shape: "hv" },
      customdata: view.x.map((at, k) =>
        [D.clock(at, view.step_s < 1), ...[view.mean, view.min, view.max].map((part) => D.watts(part[k]))]),
      hovertemplate: `<b>${D.safe(data.name)}</b> %{customdata[0]}<br>mean %{customdata[1]}, ` +
        "%{customdata[2]} to %{customdata[3]}<extra></extra>",
    });
    const known = (values) => values.filter((value) => value !== null);
    let low = Math.min(...known(view.min));
    let high = Math.max(...known(view.max));
    if (!Number.isFinite(low)) [low, high] = [0, 1];
    if (!fit) {
      low = 0;
      high = Math.max(high, data.limit_w || 0, ...data.limits.map(({ limit_w }) => limit_w));
    }
    const pad = (high - low || Math.abs(high) || 1) * 0.08;
    layout[axisKey(number)] = {
      domain: [1 - ((number + 1) * height - 6) / inner, 1 - (number * height + 22) / inner],
      range: [fit ? low - pad : 0, high + pad],
      fixedrange: true,
      nticks: 4,
      ticksuffix: "W",
      tickformat: ".3~s",
      anchor: "x",
    };
    const across = (at, line) => shapes.push({
      type: "line", xref: "paper", x0: 0, x1: 1, yref: axis(number), y0: at, y1: at, line,
    });
    if (data.limit_w && data.limit_w < high + pad) {
      across(data.limit_w, { color: D.css("h3"), width: 1.3, dash: "dash" });
    }
    const texts = new Map();
    data.limits.filter(({ limit_w }) => limit_w < high + pad).forEach(({ limit_w, text }) =>
      texts.set(limit_w, [...(texts.get(limit_w) || []), text]));
    texts.forEach((words, limit_w) => {
      across(limit_w, { color: D.css("s3"), width: 1.6, dash: "dot" });
      notes.push({
        text: `<span style="color:${D.css("s3")}">${D.safe(words.join(", "))}</span>`,
        xref: "paper", x: 1, xanchor: "right", yref: axis(number), y: limit_w, yanchor: "bottom",
        showarrow: false, font: { size: 11 },
      });
    });
    const coarse = view.finest_s > panel.level.recorded_s && (to_s - from_s) / view.finest_s < most / 4;
    const peak = data.limit_w
      ? `rating ${D.watts(data.limit_w)}, peak ${D.percent(data.peak_w / data.limit_w)} of it`
      : `${data.limits.length ? "" : "no rating, "}peak ${D.watts(data.peak_w)}`;
    const stated = data.limits.map(({ text, highest_w }) =>
      D.safe(text) + (highest_w === null ? "" : `, highest ${D.watts(highest_w)}`));
    const words = [coarse ? `kept every ${D.span(view.finest_s)} here` : null, peak, ...stated];
    notes.push({
      text: `<b>${D.safe(data.name)}</b>  ${soft(words.filter(Boolean).join("; "))}`,
      xref: "paper", yref: "paper", x: 0, y: 1 - (number * height + 19) / inner, xanchor: "left",
      yanchor: "bottom", showarrow: false, font: { size: 12 },
    });
    return view.finest_s;
  };

  const draw = () => {
    const shown = panels.filter((panel) => panel.on);
    const lane = shown.length;
    const height = shown.length < 5 ? 142 : 118;
    const inner = shown.length * height + LANE;
    const layout = {
      height: inner + FOOT,
      margin: { l: 68, r: 14, t: 8, b: 28 },
      dragmode: "zoom",
      uirevision: "keep",
      xaxis: D.plots.timeAxis({ range: [D.date(from_s), D.date(to_s)], anchor: axis(lane) }),
    };
    const figure = { traces: [], shapes: [], notes: [], layout };
    // Grey: the warm-up, which no figure sees.
    if (D.model.warm_up_s > from_s) {
      figure.shapes.push({
        type: "rect", xref: "x", x0: D.date(0), x1: D.date(D.model.warm_up_s), yref: "paper", y0: 0, y1: 1,
        fillcolor: `${D.css("soft")}22`, line: { width: 0 }, layer: "below",
      });
    }
    const finest_s = Math.min(...shown.map((panel, number) => drawPanel(panel, number, figure, height, inner)));
    const count = drawFlags(lane, figure);
    layout[axisKey(lane)] = {
      domain: [0, Math.max(0.01, (LANE - 22) / inner)],
      range: [-0.7, 4.7], fixedrange: true, showticklabels: false, zeroline: false, showgrid: false, anchor: "x",
    };
    figure.notes.push({
      text: `<b>Flags</b>  ${soft(count)}`,
      xref: "paper", yref: "paper", x: 0, y: (LANE - 20) / inner, xanchor: "left", yanchor: "bottom",
      showarrow: false, font: { size: 12 },
    });
    busy = true;
    D.plots.react(place, figure.traces, { ...layout, shapes: figure.shapes, annotations: figure.notes })
      .then(() => { busy = false; });
    describe(shown, finest_s);
  };

  const describe = (shown, finest_s) => {
    const span_s = to_s - from_s;
    const every = Number.isFinite(finest_s) ? D.span(finest_s) : D.UNKNOWN;
    D.get("timeline-span").textContent =
      `${D.clock(from_s, span_s < 60)} to ${D.clock(to_s, span_s < 60)} (${D.span(span_s)}); ` +
      `drawn in intervals of ${every} or more, recorded every ${D.span(D.model.step_s)}.`;
    const peaks = shown.map(({ node }) =>
      `${D.model.nodes[node].name}, peak of the run ${D.watts(D.model.nodes[node].peak_w)}`);
    place.setAttribute("aria-label",
      `Load over time from ${D.clock(from_s)} to ${D.clock(to_s)}: ${peaks.join("; ")}`);
  };

  /** Marks of the flags in view; trips, and what a policy did, as lines through the loads too. */
  const drawFlags = (lane, { traces, shapes }) => {
    const { time_s, kind, node, message } = D.model.events;
    const inside = time_s.map((_, i) => i).filter((i) => time_s[i] >= from_s && time_s[i] <= to_s);
    const marked = inside.slice(0, MOST_MARKS);
    const through = (events, colour) => events.slice(0, MOST_LINES).forEach((i) => {
      for (let panel = 0; panel <= lane; panel += 1) {
        shapes.push({
          type: "line", xref: "x", x0: D.date(time_s[i]), x1: D.date(time_s[i]), yref: `${axis(panel)} domain`,
          y0: 0, y1: 1, layer: "below",
          line: { color: D.css(colour), width: kind[i] === "braked" ? 1.8 : 1, dash: "dot" },
        });
      }
    });
    D.model.flags.forEach(({ colour, marks }, row) => {
      const events = marked.filter((i) => classOf(kind[i]) === row);
      if (row === OUTAGE) through(events, "h3");
      if (row === ACTION) through(events.filter((i) => kind[i] !== "released"), colour);
      const symbols = events.map((i) => marks[kind[i]]);
      traces.push({
        x: events.map((i) => D.date(time_s[i])),
        y: events.map(() => 4 - row),
        yaxis: axis(lane),
        type: "scatter",
        mode: "markers",
        marker: { size: row === ACTION ? 9 : 8, color: D.css(colour), symbol: symbols },
        text: events.map((i) => `${kind[i]} ${D.safe(D.model.nodes[node[i]].name)}<br>` +
          `${D.clock(time_s[i], true)} ${D.safe(message[i])}`),
        hovertemplate: "%{text}<extra></extra>",
      });
    });
    if (!inside.length) return "none in this span";
    const cut = inside.length > MOST_MARKS ? `, the first ${MOST_MARKS} drawn` : "";
    return `${D.count(inside.length)} in this span${cut}`;
  };

  /** Show a span, or one as near to it as the run allows. */
  const show = (from, to) => {
    const total = D.model.duration_s;
    const least = Math.min(total, Math.max(1, 2 * D.model.step_s));
    const width = Math.min(total, Math.max(least, to - from));
    from_s = Math.max(0, Math.min(total - width, (from + to - width) / 2));
    to_s = from_s + width;
    draw();
  };
  const whole = () => show(0, D.model.duration_s);
  const zoom = (width) => {
    const middle = (from_s + to_s) / 2;
    show(middle - width / 2, middle + width / 2);
  };
  const pan = (spans) => {
    const step = (to_s - from_s) * spans * 0.5;
    show(from_s + step, to_s + step);
  };

  /** To a moment, keeping the span if it is short already. */
  const go = (time_s) => {
    const half = Math.min(60, (to_s - from_s) / 2);
    show(time_s - half, time_s + half);
  };

  const goToPeak = () => {
    const [{ max, step_s }] = D.series.pyramid(D.model.levels[0].nodes[0]);
    let best = Math.min(max.length - 1, Math.ceil((D.model.warm_up_s || 0) / step_s - 1e-9));
    for (let i = best; i < max.length; i += 1) if (!(max[i] <= max[best])) best = i;
    go((best + 0.5) * step_s);
  };
  const goToNextFlag = () => {
    const times = D.model.events.time_s;
    if (!times.length) return;
    flagged = (flagged + 1) % times.length;
    go(times[flagged]);
  };

  const first = () => {
    draw();
    place.on("plotly_relayout", (change) => {
      if (busy) return;
      const low = change["xaxis.range[0]"];
      if (low !== undefined) show(D.time(low), D.time(change["xaxis.range[1]"]));
      else if (change["xaxis.autorange"]) whole();
    });
    place.on("plotly_doubleclick", () => {
      whole();
      return false;
    });
  };

  const listen = () => {
    const click = (css, action) => document.querySelectorAll(css).forEach((button) =>
      button.addEventListener("click", () => action(button.dataset)));
    click("[data-zoom]", (data) => (data.zoom === "all" ? whole() : zoom(Number(data.zoom))));
    click("[data-pan]", (data) => pan(Number(data.pan)));
    click("[data-go=peak]", goToPeak);
    click("[data-go=flag]", goToNextFlag);
    D.get("timeline-fit").addEventListener("change", (change) => {
      fit = change.target.checked;
      draw();
    });
    const closer = () => zoom((to_s - from_s) / 2);
    const actions = {
      ArrowLeft: () => pan(-1), ArrowRight: () => pan(1), "+": closer, "=": closer,
      "-": () => zoom((to_s - from_s) * 2), Home: whole,
    };
    place.addEventListener("keydown", (event) => {
      if (!actions[event.key]) return;
      event.preventDefault();
      actions[event.key]();
    });
    D.onNode.push((node) => {
      pick(panels.find((panel) => panel.level.kind === D.model.nodes[node].kind), node);
      if (place._fullLayout) draw();
    });
  };

  const start = () => {
    place = D.get("timeline");
    to_s = D.model.duration_s;
    const many = D.model.levels.length;
    panels = D.model.levels.map((level, i) =>
      ({ level, node: fullest(level.nodes), on: many <= 5 || i === 0 || i >= many - 4 }));
    panels.forEach(addControls);
    listen();
    D.plots.lazy("timeline", () => (place._fullLayout ? draw() : first()));
  };

  return { start, show, go, classOf, span: () => [from_s, to_s] };
})();
