/**
 * A table that can be searched and sorted. `columns` have a `title`, a `value` to sort by, a `cell`
 * to show (text or element), and perhaps `about`, `numeric` and `class`; both functions take a row.
 * `find` is the field to search by what `searched` gives of a row, `count` says how many there are.
 */
D.grid = ({ table, caption, columns, rows, find, searched, count, sortable = true, marked = () => false }) => {
  const MOST_ROWS = 400;
  let shown = columns;
  let sorted = null;
  let falling = true;

  const compare = (a, b) => {
    const [x, y] = [sorted.value(a) ?? null, sorted.value(b) ?? null];
    if (x === null || y === null) return (x === null) - (y === null);
    return (x < y ? -1 : Number(x > y)) * (falling ? -1 : 1);
  };

  const sort = (column) => {
    falling = sorted === column ? !falling : Boolean(column.numeric);
    sorted = column;
    draw();
    table.querySelectorAll("th button")[shown.indexOf(column)].focus();
  };

  const head = (column) => {
    const arrow = sorted !== column ? "" : falling ? " ↓" : " ↑";
    const order = falling ? "descending" : "ascending";
    return D.el(
      "th",
      {
        scope: "col",
        class: column.numeric ? "n" : null,
        title: column.about || null,
        "aria-sort": sorted === column ? order : null,
      },
      sortable ? D.el("button", { type: "button", onclick: () => sort(column) }, column.title + arrow) : column.title,
    );
  };

  const draw = () => {
    const words = find.value.trim().toLowerCase();
    const all = rows().filter((row) => !words || searched(row).toLowerCase().includes(words));
    if (sorted) all.sort(compare);
    const cells = (row) =>
      shown.map((column) => D.el("td", { class: column.numeric ? "n" : column.class || null }, column.cell(row)));
    table.replaceChildren(
      D.el("caption", {}, caption),
      D.el("thead", {}, D.el("tr", {}, ...shown.map(head))),
      D.el("tbody", {}, ...all.slice(0, MOST_ROWS).map((row) =>
        D.el("tr", { class: marked(row) ? "hot" : null }, ...cells(row)))),
    );
    count(all.length, Math.min(all.length, MOST_ROWS));
  };

  find.addEventListener("input", draw);
  draw();
  return { draw, show: (some) => { shown = some; draw(); } };
};
