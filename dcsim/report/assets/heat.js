/** The heat map: loads of a level by node and time, from the packed loads. */
D.heat = (() => {
  const MOST_TIMES = 360;
  const MOST_NODES = 240;
  const MOST_NAMES = 30;
  const RATED = [[0, "c0"], [0.25, "h0"], [0.5, "h1"], [0.75, "c3"], [0.9, "h2"], [1, "h3"]];

  const draw = () => {
    const place = D.get("heat");
    const level = D.model.levels.find(({ kind }) => kind === D.get("heat-kind").value);
    const spread = D.get("heat-stretch").checked;
    const nodes = level.nodes.slice(0, MOST_NODES).map((index) => ({ index, ...D.model.nodes[index] }));
    const rated = nodes.every((node) => node.limit_w);
    const views = nodes.map((node) => D.series.means(node.index, MOST_TIMES));
    const step_s = views[0].step_s;
    const z = views.map(({ mean }, row) =>
      Array.from(mean, (load) => (Number.isNaN(load) ? null : load / (rated ? nodes[row].limit_w : 1))));
    const known = z.flat().filter((value) => value !== null);
    const high = known.reduce((a, b) => Math.max(a, b), 0);
    const low = known.reduce((a, b) => Math.min(a, b), high);
    const words = (value) => {
      if (value === null) return "unknown";
      return rated ? `${D.percent(value)} of its rating` : D.watts(value);
    };
    const every = Math.ceil(nodes.length / MOST_NAMES);
    const places = nodes.map((_, row) => row).filter((row) => row % every === 0);
    const names = D.short(nodes.map((node) => node.name));
    const trace = {
      type: "heatmap",
      x: z[0].map((_, i) => D.date((i + 0.5) * step_s)),
      y: nodes.map((_, row) => row),
      z,
      zmin: spread ? low : 0,
      zmax: !spread && rated ? Math.max(1, high) : high || 1,
      colorscale: (spread ? D.plots.SPREAD : RATED).map(([at, name]) => [at, D.css(name)]),
      text: z.map((row, r) => row.map((value, i) =>
        `<b>${D.safe(nodes[r].name)}</b> ${D.clock((i + 0.5) * step_s)}<br>${words(value)}`)),
      hovertemplate: "%{text}<extra></extra>",
      colorbar: {
        thickness: 10,
        outlinewidth: 0,
        tickformat: rated ? ".0%" : ".3~s",
        ticksuffix: rated ? "" : "W",
        tickfont: { color: D.css("soft"), size: 11 },
      },
    };
    D.plots.react(place, [trace], {
      height: Math.min(620, Math.max(180, 70 + nodes.length * 14)),
      margin: { l: 110, r: 10, t: 8, b: 36 },
      hovermode: "closest",
      xaxis: D.plots.timeAxis({ showgrid: false }),
      yaxis: {
        autorange: "reversed",
        showgrid: false,
        tickvals: places,
        ticktext: places.map((row) => D.safe(names[row])),
      },
    });
    const cut = level.nodes.length > MOST_NODES ? `; the first ${MOST_NODES} of ${level.nodes.length}` : "";
    const of = rated ? ", as shares of each rating" : "";
    D.get("heat-note").textContent = `Means over ${D.span(step_s)}${of}${cut}.`;
    const highest = rated ? `${D.percent(high)} of the rating` : D.watts(high);
    place.setAttribute("aria-label", `${level.kind} loads over time; highest mean ${highest}`);
  };

  const start = () => {
    const select = D.get("heat-kind");
    D.model.levels.forEach(({ kind, nodes }) =>
      select.append(D.el("option", { value: kind }, `${kind} (${nodes.length})`)));
    const many = D.model.levels.filter(({ nodes }) => nodes.length > 1);
    const first = many.find(({ kind }) => kind === "rack") || many.at(-1) || D.model.levels.at(-1);
    select.value = first.kind;
    select.addEventListener("change", draw);
    D.get("heat-stretch").addEventListener("change", draw);
    D.plots.lazy("heat", draw);
  };
  return { start };
})();
