/** Pages of runs: their charts, every node in a table, and the event log. */
D.run = (() => {
  const decimals = (value) => (value === null || value === undefined ? D.UNKNOWN : value.toFixed(2));
  const share = (node) => (node.limit_w ? node.peak_w / node.limit_w : null);
  const FIGURES = [
    ["rating", (node) => node.limit_w, D.watts],
    ["peak", (node) => node.peak_w, D.watts],
    ["of rating", share, D.percent],
    ["p99", (node) => node.p99_w, D.watts],
    ["mean", (node) => node.mean_w, D.watts],
    ["load factor", (node) => node.load_factor, decimals],
    ["energy", (node) => node.energy_wh, (value) => D.scaled(value, "Wh")],
    ["over limit", (node) => node.time_over_limit_s, D.span],
    ["trips", (node) => node.trips, (value) => String(value ?? D.UNKNOWN)],
  ];

  const link = (text, go) => D.el("button", { type: "button", class: "link", onclick: go }, text);
  const nodeLink = (index) => link(D.model.nodes[index].name, () => {
    D.choose(index);
    D.get("load").scrollIntoView();
  });

  const nodes = () => {
    const of = (index) => D.model.nodes[index];
    D.grid({
      table: D.get("nodes-table"),
      caption: "Loads by node",
      find: D.get("nodes-find"),
      rows: () => D.model.nodes.map((_, index) => index),
      searched: (index) => `${of(index).name} ${of(index).kind}`,
      marked: (index) => of(index).limit_w && of(index).peak_w > of(index).limit_w,
      columns: [
        { title: "node", value: (index) => of(index).name, cell: nodeLink },
        { title: "kind", value: (index) => of(index).kind, cell: (index) => of(index).kind },
        ...FIGURES.map(([title, value, words]) => ({
          title,
          numeric: true,
          value: (index) => value(of(index)),
          cell: (index) => words(value(of(index))),
        })),
      ],
      count: (all, shown) => {
        D.get("nodes-count").textContent = `${D.count(all)} nodes${all > shown ? `, ${shown} shown` : ""}`;
      },
    });
  };

  const events = () => {
    const log = D.model.events;
    const hidden = new Set();
    const name = (i) => D.model.nodes[log.node[i]].name;
    const go = (i) => () => {
      D.choose(log.node[i]);
      D.timeline.go(log.time_s[i]);
      D.get("load").scrollIntoView();
    };
    const grid = D.grid({
      table: D.get("events-table"),
      caption: "Flags in order",
      find: D.get("events-find"),
      sortable: false,
      rows: () => log.time_s.map((_, i) => i).filter((i) => !hidden.has(log.kind[i])),
      searched: (i) => `${name(i)} ${log.kind[i]} ${log.message[i]}`,
      marked: (i) => D.timeline.classOf(log.kind[i]) === 0,
      columns: [
        { title: "time", cell: (i) => link(D.clock(log.time_s[i], true), go(i)) },
        { title: "flag", cell: (i) => log.kind[i] },
        { title: "node", cell: (i) => nodeLink(log.node[i]) },
        { title: "load", numeric: true, cell: (i) => D.watts(log.load_w[i]) },
        { title: "limit", numeric: true, cell: (i) => D.watts(log.limit_w[i]) },
        { title: "what", cell: (i) => log.message[i] },
      ],
      count: (all, shown) => {
        const left = log.total - log.time_s.length;
        const parts = [
          `${D.count(all)} of ${D.count(log.total)} flags`,
          all > shown ? `the first ${shown} are listed` : null,
          left > 0 ? `the last ${D.count(left)} of the run are not in this page` : null,
        ];
        D.get("events-count").textContent = log.total
          ? `${parts.filter(Boolean).join("; ")}.` : "No flag was raised.";
      },
    });
    for (const kind of [...new Set(log.kind)].sort()) {
      const toggle = () => {
        if (!hidden.delete(kind)) hidden.add(kind);
        button.setAttribute("aria-pressed", String(!hidden.has(kind)));
        grid.draw();
      };
      const many = log.kind.filter((other) => other === kind).length;
      const button = D.el("button", { type: "button", "aria-pressed": "true", onclick: toggle }, `${kind} (${many})`);
      D.get("events-kinds").append(button, " ");
    }
  };

  const charts = () => {
    const select = D.get("duration-kind");
    D.model.levels.forEach(({ kind, nodes: all }) =>
      select.append(D.el("option", { value: kind }, `${kind} (${all.length})`)));
    select.value = (D.model.levels.find((level) => level.kind === "row") || D.model.levels[0]).kind;
    const duration = () => D.chart.show("duration", D.model.charts[`duration-${select.value}`]);
    select.addEventListener("change", duration);
    D.plots.lazy("duration", duration);
    D.plots.lazy("smoothing", () => D.chart.show("smoothing", D.model.charts.smoothing));
    if (D.model.charts.traffic) D.plots.lazy("traffic", () => D.chart.show("traffic", D.model.charts.traffic));
    else {
      D.get("traffic").style.minHeight = 0;
      D.get("traffic-note").textContent = "The scenario kept no requests (record: {requests: false}).";
    }
  };

  const start = () => {
    charts();
    nodes();
    events();
  };
  return { start };
})();
