/** Pages of studies: their charts, tables that can be sorted and searched, the calculator. */
D.study = (() => {
  const LONG = 28;

  /** A column without its unit, in words. */
  const words = ({ name, unit }) => {
    const bare = name.replace(/_per_s$/, " per second");
    const cut = ["w", "kw", "wh", "va", "s"].includes(unit) && bare.endsWith(`_${unit}`);
    return (cut ? bare.slice(0, -unit.length - 1) : bare.replace(/_(share|fraction)$/, "")).replace(/_/g, " ");
  };

  const table = ({ title, columns, rows, shown }, index) => {
    const part = (name) => D.get(`table-${index}-${name}`);
    const count = columns.length ? columns[0].values.length : 0;
    const searched = [];
    const every = columns.map((column) => {
      const numeric = column.values.some((value) => typeof value === "number");
      const long = !numeric && column.values.some((value) => String(value).length > LONG);
      return {
        title: words(column),
        about: column.about,
        numeric,
        class: long ? "long" : null,
        value: (row) => column.values[row],
        cell: (row) => D.format(column.unit, column.values[row]),
        name: column.name,
      };
    });
    // A first look: the columns that the study shows first, of these those of which something is known.
    const first = shown.map((name) => every.find((column) => column.name === name))
      .filter((column) => column && columns[every.indexOf(column)].values.some((value) => value !== null));
    const grid = D.grid({
      table: D.get(`table-${index}`),
      caption: title,
      columns: every,
      find: part("find"),
      rows: () => Array.from({ length: count }, (_, row) => row),
      // Cells as they are shown and as they stand in the file; made once.
      searched: (row) => (searched[row] ??= columns.map((column) =>
        `${D.format(column.unit, column.values[row])}\n${column.values[row] ?? ""}`).join("\n")),
      count: (all, listed) => {
        const cut = rows > count ? `; the page has the first ${D.count(count)}, the folder all` : "";
        const few = all > listed ? `, ${listed} shown` : "";
        part("count").textContent = rows
          ? `${D.count(all)} of ${D.count(rows)} rows${few}${cut}` : "This table is empty.";
      },
    });
    if (!first.length || first.length === every.length) return;
    const more = part("all");
    let whole = false;
    grid.show(first);
    more.hidden = false;
    more.textContent = `All ${every.length} columns`;
    more.addEventListener("click", () => {
      whole = !whole;
      more.setAttribute("aria-pressed", String(whole));
      grid.show(whole ? every : first);
    });
  };

  const start = () => {
    for (const [id, chart] of Object.entries(D.model.charts)) D.plots.lazy(id, () => D.chart.show(id, chart));
    D.model.tables.forEach(table);
    D.calculator.start();
  };
  return { start };
})();
