/** Draws charts as dcsim/report/charts/model.py describes them. */
D.chart = (() => {
  const GAP = 20; // px between panels, above and below a heading
  const TICKS = {
    w: { ticksuffix: "W", tickformat: ".3~s" },
    kw: { ticksuffix: " kW" },
    wh: { ticksuffix: "Wh", tickformat: ".3~s" },
    va: { ticksuffix: "VA", tickformat: ".3~s" },
    s: { ticksuffix: " s" },
    share: { tickformat: ".1~%" },
  };
  const id = (number) => (number ? `y${number + 1}` : "y");
  const soft = (size) => ({ size, color: D.css("soft") });
  const place = (chart) => {
    if (chart.x.kind === "time") return D.date;
    return (value) => (typeof value === "string" ? D.safe(value) : value);
  };

  /** An axis of plotly's; with `few` fewer ticks. */
  const axisOf = ({ kind, title = "", unit = "", limits }, few) => {
    if (kind === "time") return D.plots.timeAxis({ range: limits.map(D.date) });
    const axis = { ...TICKS[unit], title: { text: D.safe(title), font: soft(12) } };
    if (few) axis.nticks = 4;
    if (kind === "log") {
      const digits = few ? [1, 3] : [1, 2, 5];
      const ticks = [-4, -3, -2, -1, 0, 1, 2, 3, 4, 5].flatMap((power) => digits.map((d) => Number(`${d}e${power}`)));
      return { ...axis, type: "log", tickvals: ticks, ticktext: ticks.map((value) => D.tick(unit, value)) };
    }
    if (kind !== "number") axis.type = kind;
    const [low, high] = limits;
    if (low !== null && high !== null) {
      const pad = 0.01 * (high - low);
      axis.range = [low - pad, high + pad];
    } else if (low === 0) axis.rangemode = "tozero";
    return axis;
  };

  /** What is said of each point: its name, x, value and interval. */
  const words = (trace, { chart, panel }) => {
    const { kind, unit, title } = chart.x;
    const across = (value) => (kind === "time" ? null : `${title || ""} ${D.format(unit, value)}`);
    const value = (number) => D.format(panel.y.unit, number);
    return trace.x.map((x, i) => {
      const [low, high] = [trace.low?.[i] ?? null, trace.high?.[i] ?? null];
      const ends = low === null || high === null ? "" : `${value(low)} to ${value(high)}`;
      const middle = trace.y ? `<b>${value(trace.y[i])}</b>${ends && ` (${ends})`}` : `<b>${ends}</b>`;
      return [...[trace.name, across(x)].filter(Boolean).map(D.safe), middle].join("<br>");
    });
  };

  /** What all traces of a name have. */
  const base = (trace, context) => ({
    x: trace.x.map(place(context.chart)),
    customdata: words(trace, context),
    hovertemplate: "%{customdata}<extra></extra>",
    name: D.safe(trace.name || ""),
    legendgroup: trace.name || "",
    showlegend: Boolean(trace.name) && context.first,
  });

  /** Texts above points; those at the ends stay within the chart. */
  const textAbove = ({ x, labels }) => {
    const [low, high] = [Math.min(...x), Math.max(...x)];
    const side = (value) => (value === low ? "top right" : value === high ? "top left" : "top center");
    return {
      text: labels.map(D.safe),
      textposition: low < high ? x.map(side) : "top center",
      textfont: soft(12),
      cliponaxis: false,
    };
  };

  const DRAW = {
    Line: (trace, context) => {
      const colour = D.css(trace.colour) + (trace.opacity < 1 ? Math.round(255 * trace.opacity).toString(16) : "");
      const whole = base(trace, context);
      const modes = [["lines", trace.width], ["markers", trace.symbol], ["text", trace.labels]];
      const traces = [];
      if (trace.low && trace.high) {
        const known = trace.x.map((_, i) => i).filter((i) => trace.low[i] !== null && trace.high[i] !== null);
        const shade = { fill: "tonexty", fillcolor: `${D.css(trace.colour)}2e` };
        const edge = {
          x: known.map((i) => whole.x[i]), type: "scatter", mode: "lines", line: { width: 0, shape: trace.shape },
          hoverinfo: "skip", showlegend: false,
        };
        traces.push({ ...edge, y: known.map((i) => trace.low[i]) });
        traces.push({ ...edge, y: known.map((i) => trace.high[i]), ...shade });
      }
      traces.push({
        ...whole,
        y: trace.y,
        type: "scatter",
        mode: modes.filter(([, there]) => there).map(([mode]) => mode).join("+") || "none",
        connectgaps: false,
        line: { color: colour, width: trace.width, dash: trace.dash, shape: trace.shape },
        marker: { size: trace.size, symbol: trace.symbol || "circle", color: colour },
        ...(trace.labels ? textAbove(trace) : {}),
        // A dashed line without a name is there for comparison.
        ...(!trace.name && trace.dash !== "solid" ? { hoverinfo: "skip", hovertemplate: undefined } : {}),
      });
      return traces;
    },

    Bars: (trace, context) => {
      const { y, low, high } = trace;
      const far = (from, to) => y.map((_, i) => (from[i] === null || to[i] === null ? null : to[i] - from[i]));
      const bars = { ...base(trace, context), y, type: "bar", marker: { color: D.css(trace.colour) } };
      if (low && high) {
        const ends = { array: far(y, high), arrayminus: far(low, y) };
        bars.error_y = { type: "data", symmetric: false, thickness: 1.2, color: D.css("soft"), ...ends };
      }
      if (!trace.labels) return [bars];
      const tops = y.map((value, i) => Math.max(value, high?.[i] ?? 0));
      const texts = { ...textAbove(trace), textposition: "top center", hoverinfo: "skip", showlegend: false };
      return [bars, { ...texts, x: bars.x, y: tops, type: "scatter", mode: "text" }];
    },

    /** Upright bars from end to end, those of several names side by side. */
    Ranges: (trace, context) => {
      const others = context.panel.traces.filter((other) => other.type === "Ranges");
      const width = Math.min(0.5, 0.12 * others.length);
      const aside = others.length > 1 ? width * (others.indexOf(trace) / (others.length - 1) - 0.5) : 0;
      const whole = base(trace, context);
      return [{
        ...whole,
        type: "scatter",
        mode: "lines",
        connectgaps: false,
        line: { color: D.css(trace.colour), width: 4 },
        x: whole.x.flatMap((x) => Array(3).fill(typeof x === "number" ? x + aside : x)),
        y: trace.low.flatMap((low, i) => [low, trace.high[i], null]),
        customdata: whole.customdata.flatMap((text) => [text, text, text]),
      }];
    },

    Heat: (trace, context) => [{
      type: "heatmap",
      x: trace.x.map(place(context.chart)),
      y: trace.rows.map(D.safe),
      z: trace.z,
      colorscale: D.plots.SPREAD.map(([at, name]) => [at, D.css(name)]),
      text: trace.z.map((row) => row.map((value) => D.format(trace.unit, value))),
      texttemplate: trace.labels ? "%{text}" : undefined,
      hovertemplate: "%{x}, %{y}: %{text}<extra></extra>",
      colorbar: { thickness: 10, outlinewidth: 0, ...TICKS[trace.unit] },
    }],
  };

  const stroke = ({ colour, dash }) => ({ color: D.css(colour), width: 1.3, dash });
  const note = (text, more) => ({ text, showarrow: false, xanchor: "left", yanchor: "bottom", ...more });
  const down = (at, yref) => ({ type: "line", layer: "below", xref: "x", x0: at, x1: at, yref, y0: 0, y1: 1 });

  /** Lines across a panel, down it, and its heading with the names of its lines. */
  const drawRules = (chart, panel, number, { shapes, annotations }) => {
    (panel.rules || []).forEach((rule) => {
      shapes.push({
        type: "line", xref: "paper", x0: 0, x1: 1, yref: id(number), y0: rule.at, y1: rule.at, line: stroke(rule),
      });
      if (rule.text) annotations.push(note(D.safe(rule.text), {
        xref: "paper", x: rule.right ? 0.996 : 0.004, xanchor: rule.right ? "right" : "left",
        yref: id(number), y: rule.at, bgcolor: D.css("card"), font: { size: 11, color: D.css(rule.colour) },
      }));
    });
    (panel.marks || []).forEach((mark) =>
      shapes.push({ ...down(place(chart)(mark.at), `${id(number)} domain`), line: stroke(mark) }));
    if (!panel.title) return;
    const named = chart.legend === "panel" ? panel.traces.filter(({ name }) => name) : [];
    const keys = named.map(({ name, colour }) => `  <span style="color:${D.css(colour)}">━ ${D.safe(name)}</span>`);
    annotations.push(note(`<b>${D.safe(panel.title)}</b>${keys.join("")}`, {
      xref: "paper", x: 0, yref: "paper", y: 1 - number / chart.panels.length, yanchor: "top", font: { size: 12 },
    }));
  };

  /** Lines down all panels, with their words and the shades of their intervals. */
  const drawMarks = (chart, { shapes, annotations }) => {
    const at = place(chart);
    const shade = (low, high, colour) => shapes.push({
      ...down(0, "paper"), type: "rect", x0: at(low), x1: at(high), fillcolor: colour, line: { width: 0 },
    });
    if (chart.shaded) shade(...chart.shaded, `${D.css("soft")}22`);
    (chart.rules || []).forEach((rule, i) => {
      if (rule.low !== undefined && rule.high !== undefined) shade(rule.low, rule.high, `${D.css("h2")}24`);
      shapes.push({ ...down(at(rule.at), "paper"), line: stroke(rule) });
      if (rule.text) annotations.push(note(D.safe(rule.text), {
        x: at(rule.at), y: 0.02 + 0.075 * i, yref: "paper", font: { size: 11.5 },
      }));
    });
  };

  /** Draw a chart into the place of this id, with its note and its label. */
  const show = (where, chart) => {
    const count = chart.panels.length;
    const gap = GAP / chart.height;
    const shared = chart.legend === "shared";
    const traces = [];
    const layout = {
      height: chart.height,
      margin: { l: 70, r: 16, t: shared ? 34 : 12, b: 52 },
      hovermode: chart.x.kind === "time" ? "x" : "closest",
      barmode: "group",
      bargap: 0.45,
      showlegend: shared,
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { size: 12 } },
      xaxis: { ...axisOf(chart.x, false), anchor: id(count - 1) },
      shapes: [],
      annotations: [],
    };
    drawMarks(chart, layout);
    chart.panels.forEach((panel, number) => {
      const axis = axisOf(panel.y, count > 2);
      const bottom = 1 - (number + 1) / count + (number + 1 < count ? gap : 0);
      axis.domain = [bottom, 1 - number / count - (panel.title ? 1.6 * gap : 0)];
      layout[`yaxis${number ? number + 1 : ""}`] = axis;
      if (panel.traces.some(({ type }) => type === "Heat")) {
        Object.assign(axis, { type: "category", autorange: "reversed", showgrid: false });
        layout.xaxis.showgrid = false;
        layout.margin.l = 120;
      }
      const context = { chart, panel, first: number === 0 || !shared };
      panel.traces.forEach((trace) =>
        traces.push(...DRAW[trace.type](trace, context).map((part) => ({ ...part, yaxis: id(number) }))));
      drawRules(chart, panel, number, layout);
    });
    const element = D.get(where);
    D.plots.react(element, traces, layout);
    const words = D.get(`${where}-note`);
    if (words) words.textContent = chart.note || "";
    if (chart.label) element.setAttribute("aria-label", chart.label);
  };
  return { show };
})();
