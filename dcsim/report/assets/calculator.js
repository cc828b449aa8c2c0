/** The return calculator: a study's inputs as fields, its lines worked out by their formulas. */
D.calculator = (() => {
  const inputs = [];
  const lines = [];

  const rows = (name) => {
    const table = D.model.tables.find((other) => other.name === name);
    return table.columns[0].values.map((_, i) =>
      Object.fromEntries(table.columns.map((column) => [column.name, column.values[i]])));
  };
  const words = (name) => name.replace(/(?<!_per)_kw$/, "").replace(/_/g, " ");
  const format = (value) => {
    if (!Number.isFinite(value)) return "unknown";
    const digits = Math.abs(value) >= 1e4 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 5 };
    return value.toLocaleString("en", digits);
  };

  /** All values by name, from what stands in the fields now. */
  const work = () => {
    const values = Object.create(null);
    for (const { name, field } of inputs) {
      const text = field.value.trim();
      values[name] = text === "" ? NaN : Number(text);
    }
    for (const { name, formula } of lines) values[name] = formula(values);
    return values;
  };

  const update = () => {
    const values = work();
    for (const { name, output, studied } of lines) {
      const value = values[name];
      const same = Number.isFinite(studied)
        ? Math.abs(value - studied) <= 1e-6 * Math.abs(studied) : !Number.isFinite(value);
      output.textContent = format(value);
      output.classList.toggle("good", !same);
    }
  };

  const addInput = (row) => {
    const about = `about-${row.name}`;
    const field = D.el("input", {
      type: "number",
      step: "any",
      id: `input-${row.name}`,
      value: row.value ?? "",
      placeholder: "unknown",
      "aria-describedby": about,
      oninput: update,
    });
    inputs.push({ name: row.name, field, studied: row.value ?? "" });
    const unit = row.unit && row.unit !== row.name ? `, ${row.unit}` : "";
    const note = D.el("span", { id: about }, `${row.about} (${row.origin})`);
    D.get("calculator-fields").append(D.el("label", {}, words(row.name) + unit, field, note));
  };

  const addLine = (row) => {
    const output = D.el("output", { id: `line-${row.name}`, title: row.formula }, "");
    lines.push({ name: row.name, formula: D.formulas[row.name], output, studied: row.value ?? NaN });
    D.get("calculator-lines").append(D.el(
      "tr",
      {},
      D.el("td", { title: row.about || null }, words(row.name)),
      D.el("td", { class: "n" }, output),
      D.el("td", {}, row.unit || ""),
      D.el("td", { class: "small formula" }, row.formula),
    ));
  };

  const start = () => {
    if (!D.get("calculator-fields")) return;
    rows("inputs").forEach(addInput);
    rows("lines").forEach(addLine);
    D.get("calculator-reset").addEventListener("click", () => {
      inputs.forEach(({ field, studied }) => { field.value = studied; });
      update();
    });
    update();
  };
  return { start, work };
})();
