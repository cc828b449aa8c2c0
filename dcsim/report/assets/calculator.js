// The return calculator: a study's inputs as fields, its lines worked out anew from their formulas.
D.calculator = (() => {
  const TOKEN = /\s*(?:(\d+(?:\.\d+)?(?:e[+-]?\d+)?)|([A-Za-z_]\w*)|(\*\*|[-+*\/()]))/y;

  // Formulas as the study writes them: + - * / ** and brackets, ** before the sign on its left.
  const parse = (text) => {
    const tokens = [];
    TOKEN.lastIndex = 0;
    while (TOKEN.lastIndex < text.trimEnd().length) {
      const found = TOKEN.exec(text);
      if (!found) throw new Error(`not a formula: ${text}`);
      tokens.push(found[1] ? { number: Number(found[1]) } : found[2] ? { name: found[2] } : { sign: found[3] });
    }
    let at = 0;
    const next = (sign) => (at < tokens.length && tokens[at].sign === sign ? (at += 1, true) : false);
    const atom = () => {
      const token = tokens[at++];
      if (token && token.sign === "(") {
        const inner = sum();
        if (!next(")")) throw new Error(`no closing bracket: ${text}`);
        return inner;
      }
      if (token && token.number !== undefined) return () => token.number;
      if (token && token.name) return (known) => (token.name in known ? known[token.name] : NaN);
      throw new Error(`not a formula: ${text}`);
    };
    const power = () => {
      const base = atom();
      if (!next("**")) return base;
      const exponent = signed();
      return (known) => base(known) ** exponent(known);
    };
    const signed = () => {
      if (!next("-")) return power();
      const inner = signed();
      return (known) => -inner(known);
    };
    const product = () => {
      let left = signed();
      for (;;) {
        const a = left;
        if (next("*")) { const b = signed(); left = (known) => a(known) * b(known); }
        else if (next("/")) { const b = signed(); left = (known) => { const d = b(known); return d === 0 ? NaN : a(known) / d; }; }
        else return left;
      }
    };
    const sum = () => {
      let left = product();
      for (;;) {
        const a = left;
        if (next("+")) { const b = product(); left = (known) => a(known) + b(known); }
        else if (next("-")) { const b = product(); left = (known) => a(known) - b(known); }
        else return left;
      }
    };
    const whole = sum();
    if (at < tokens.length) throw new Error(`not a formula: ${text}`);
    return whole;
  };

  // What this page cannot read is unknown, and so is what hangs on it.
  const formula = (text) => {
    try { return parse(String(text)); } catch { return () => NaN; }
  };

  const rows = (table) => {
    const names = table.columns.map((column) => column.name);
    return table.columns[0].values.map((_, i) =>
      Object.fromEntries(names.map((name, k) => [name, table.columns[k].values[i]])));
  };
  const words = (name) => name.replace(/(?<!_per)_kw$/, "").replace(/_/g, " ");
  const told = (value) => {
    if (!Number.isFinite(value)) return "unknown";
    const how = Math.abs(value) >= 1e4 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 5 };
    return value.toLocaleString("en", how);
  };

  let inputs = [], lines = [], fields = {}, outputs = {};

  // All values by name, from what stands in the fields now.
  const work = () => {
    const known = {};
    inputs.forEach((row) => {
      const text = fields[row.name].value.trim();
      known[row.name] = text === "" ? NaN : Number(text);
    });
    lines.forEach((row) => { known[row.name] = row.run(known); });
    return known;
  };

  const update = () => {
    const known = work();
    lines.forEach((row) => {
      outputs[row.name].textContent = told(known[row.name]);
      outputs[row.name].classList.toggle("good", Number.isFinite(row.value)
        ? Math.abs(known[row.name] - row.value) > 1e-6 * Math.abs(row.value) : Number.isFinite(known[row.name]));
    });
  };

  const start = () => {
    const place = D.get("calculator-fields");
    if (!place) return;
    const table = (name) => D.model.tables.find((one) => one.name === name);
    inputs = rows(table("inputs"));
    lines = rows(table("lines")).map((row) => ({ ...row, value: row.value === null ? NaN : row.value, run: formula(row.formula) }));
    inputs.forEach((row) => {
      const field = D.el("input", { type: "number", step: "any", id: `input-${row.name}`, value: row.value ?? "",
        placeholder: "unknown", "aria-describedby": `about-${row.name}`, oninput: update });
      fields[row.name] = field;
      place.append(D.el("label", {}, `${words(row.name)}${row.unit && row.unit !== row.name ? `, ${row.unit}` : ""}`, field,
        D.el("span", { id: `about-${row.name}` }, `${row.about} (${row.origin})`)));
    });
    const body = D.get("calculator-lines");
    lines.forEach((row) => {
      const output = D.el("output", { id: `line-${row.name}`, title: row.formula }, "");
      outputs[row.name] = output;
      body.append(D.el("tr", {}, D.el("td", { title: row.about || null }, words(row.name)), D.el("td", { class: "n" }, output),
        D.el("td", {}, row.unit || ""), D.el("td", { class: "small formula" }, row.formula)));
    });
    D.get("calculator-reset").addEventListener("click", () => {
      inputs.forEach((row) => { fields[row.name].value = row.value ?? ""; });
      update();
    });
    update();
  };
  return { start, work };
})();
