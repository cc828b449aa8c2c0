// Pages of studies: pictures, and tables that can be sorted and searched.
D.study = (() => {
  const MOST_ROWS = 400, LONG = 28;
  const { told, words } = D.pictures;

  const grid = (table, index) => {
    const place = D.get(`table-${index}`), find = D.get(`table-${index}-find`);
    let sorted = null, falling = true;
    const numeric = table.columns.map((c) => c.values.some((v) => typeof v === "number"));
    const long = table.columns.map((c, i) => !numeric[i] && c.values.some((v) => String(v).length > LONG));
    const count = table.columns.length ? table.columns[0].values.length : 0;
    // A first look: the columns that the study shows first, of these those of which something is known.
    const first = (table.shown || []).map((name) => table.columns.findIndex((c) => c.name === name))
      .filter((i) => i >= 0 && table.columns[i].values.some((v) => v !== null));
    const every = table.columns.map((_, i) => i), more = D.get(`table-${index}-all`);
    let cols = first.length ? first : every;
    // What is searched: cells as they are shown and as they stand in the file; made once.
    let said = null;
    const searched = () => Array.from({ length: count }, (_, i) => table.columns.map((c) => `${told(c, c.values[i])}\n${c.values[i] ?? ""}`).join("\n").toLowerCase());
    const draw = () => {
      const wanted = find.value.trim().toLowerCase();
      if (wanted && !said) said = searched();
      let rows = Array.from({ length: count }, (_, i) => i).filter((i) => !wanted || said[i].includes(wanted));
      if (sorted !== null) {
        const values = table.columns[sorted].values;
        rows.sort((a, b) => {
          const x = values[a], y = values[b];
          if (x === null || y === null) return (x === null) - (y === null);
          return (x < y ? -1 : x > y ? 1 : 0) * (falling ? -1 : 1);
        });
      }
      const found = rows.length;
      rows = rows.slice(0, MOST_ROWS);
      place.replaceChildren(D.el("caption", {}, table.title), D.el("thead", {}, D.el("tr", {}, ...cols.map((i) => [table.columns[i], i]).map(([c, i]) =>
        D.el("th", { scope: "col", class: numeric[i] ? "n" : null, title: c.about || null, "aria-sort": sorted === i ? (falling ? "descending" : "ascending") : null },
          D.el("button", { type: "button", onclick: () => { falling = sorted === i ? !falling : numeric[i]; sorted = i; draw(); place.querySelectorAll("th button")[cols.indexOf(i)].focus(); } },
            words(c) + (sorted === i ? (falling ? " ↓" : " ↑") : "")))))),
      D.el("tbody", {}, ...rows.map((i) => D.el("tr", {}, ...cols.map((k) => [table.columns[k], k]).map(([c, k]) => D.el("td", { class: numeric[k] ? "n" : long[k] ? "long" : null }, told(c, c.values[i])))))));
      const cut = table.rows > count ? `; the page has the first ${count.toLocaleString("en")}, the folder all` : "";
      D.get(`table-${index}-count`).textContent = !table.rows ? "This table is empty." : `${found.toLocaleString("en")} of ${table.rows.toLocaleString("en")} rows${found > MOST_ROWS ? `, ${MOST_ROWS} shown` : ""}${cut}`;
    };
    find.addEventListener("input", draw);
    if (more && first.length && first.length < every.length) {
      more.hidden = false;
      more.textContent = `All ${every.length} columns`;
      more.addEventListener("click", () => {
        const all = cols === first;
        cols = all ? every : first;
        more.setAttribute("aria-pressed", String(all));
        draw();
      });
    }
    draw();
  };

  const start = () => {
    D.model.plots.forEach((plot, i) => D.plots.lazy(`plot-${i}`, () => D.pictures.draw(plot, i)));
    D.model.tables.forEach(grid);
    D.calculator.start();
  };
  return { start };
})();
