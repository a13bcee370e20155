"use strict";
// The page's only script besides the plotting library that it carries. No network: every payload
// is a gzipped block of this file, unpacked when its part of the page is first used.
(() => {
  const root = document.documentElement;

  // ---- small tools ----------------------------------------------------------------------
  const make = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (key === "on") for (const [name, f] of Object.entries(value)) node.addEventListener(name, f);
      else if (value === true) node.setAttribute(key, "");
      else if (value !== false && value !== null) node.setAttribute(key, value);
    }
    node.append(...children);
    return node;
  };
  const unpack = async (node) => {
    const bytes = Uint8Array.from(atob(node.textContent.trim()), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  };
  const once = (f) => {
    let result;
    return () => (result ??= f());
  };
  const meta = once(async () => JSON.parse(await unpack(document.getElementById("meta"))));
  const save = (content, name, type) => {
    const blob = content instanceof Blob ? content : new Blob([content], { type });
    const url = URL.createObjectURL(blob);
    const link = make("a", { href: url, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  };
  // Marks that turn or hide text are spelled out, as in the rest of the page.
  const visible = (text) =>
    text.replace(/[\p{Cc}\p{Cf}\p{Cs}]/gu, (c) =>
      c === "\t" || c === "\n"
        ? c
        : "\u2039U+" + c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0") + "\u203a");
  const grouped = (n) => n.toLocaleString("en-GB");

  // ---- light, dark, print, sections -----------------------------------------------------
  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    document.dispatchEvent(new CustomEvent("themechange"));
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
    document.dispatchEvent(new CustomEvent("themechange")));

  // Folded parts are printed open, but for long ones, which belong in their files.
  let unfolded = [];
  addEventListener("beforeprint", () => {
    unfolded = [...document.querySelectorAll("details:not([open]):not(.datatable):not(.long)")];
    for (const node of unfolded) node.open = true;
  });
  addEventListener("afterprint", () => {
    for (const node of unfolded) node.open = false;
  });
  const reveal = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
    for (const node of target ? target.querySelectorAll(":scope > details.fold") : []) node.open = true;
    if (target) target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  // Following a link to where one already is changes no hash.
  document.addEventListener("click", (e) => {
    const link = e.target.closest('a[href^="#"]');
    if (link && link.hash === location.hash) reveal();
  });
  if (location.hash) reveal();
  for (const section of document.querySelectorAll("main > section")) {
    const folds = [...section.querySelectorAll("details.fold")];
    if (folds.length < 2) continue;
    const words = () => (folds.some((node) => !node.open) ? "Open all" : "Close all");
    const all = make("button", { type: "button", class: "unfold", on: { click: () => {
      const open = folds.some((node) => !node.open);
      for (const node of folds) node.open = open;
    } } }, words());
    for (const node of folds) node.addEventListener("toggle", () => { all.textContent = words(); });
    section.querySelector("h2").after(all);
  }

  const links = new Map(
    [...document.querySelectorAll("nav.sections a")].map((a) => [a.getAttribute("href").slice(1), a]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const link = links.get(entry.target.id);
      if (!link) continue;
      if (entry.isIntersecting) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }, { rootMargin: "-40% 0px -55% 0px" });
  for (const id of links.keys()) seen.observe(document.getElementById(id));

  // ---- tables ---------------------------------------------------------------------------
  // A table comes column by column: as the text of its cells, or as values and a character a row.
  const CODES = 91, CODES_ON = 0xa1;
  const place = (c) => (c >= CODES_ON ? c - CODES_ON + CODES : c > 0x5c ? c - 0x24 : c - 0x23);
  const cells = (column, rows) => {
    if (!rows) return [];
    if (column.text !== undefined) return column.text.split("\n");
    return Array.from(column.codes, (c) => column.values[place(c.codePointAt(0))]);
  };
  // A file that a spreadsheet opens must not make it compute: a text that begins like a formula
  // gets an apostrophe before it. Numbers, with their sign, stay as they are.
  const written = (text) => {
    const safe = /^[=+@\-\t\r]/.test(text) && Number.isNaN(Number(text)) ? "'" + text : text;
    return /[\t\n\r"]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const tsv = (records) => records.map((fields) => fields.map(written).join("\t") + "\n").join("");
  const TSV = "text/tab-separated-values";

  // Returns a test for one cell, null for no filter, undefined for one that can't be read.
  const condition = (text, number) => {
    const words = text.trim();
    if (!words) return null;
    if (number) {
      const range = words.match(/^(-?[\d.]+(?:e-?\d+)?)\s*\.\.\s*(-?[\d.]+(?:e-?\d+)?)$/i);
      if (range) {
        const [low, high] = [Number(range[1]), Number(range[2])];
        return (v) => v !== "" && Number(v) >= low && Number(v) <= high;
      }
      const compare = words.match(/^(<=|>=|<|>|=)\s*(-?[\d.]+(?:e[-+]?\d+)?)$/i);
      if (compare) {
        const limit = Number(compare[2]);
        const test = {
          "<": (v) => v < limit, "<=": (v) => v <= limit, ">": (v) => v > limit,
          ">=": (v) => v >= limit, "=": (v) => v === limit,
        }[compare[1]];
        return (v) => v !== "" && test(Number(v));
      }
      if (/^[<>=.]/.test(words)) return undefined;
    }
    const low = words.toLowerCase();
    if (low.startsWith("=")) return (v) => v.toLowerCase() === low.slice(1).trim();
    if (low.startsWith("!") && low.length > 1) return (v) => !v.toLowerCase().includes(low.slice(1));
    return (v) => v.toLowerCase().includes(low);
  };

  const PAGE = 50;
  const build = async (box) => {
    const name = box.dataset.table;
    const columns = JSON.parse(box.querySelector(".columns").textContent);
    const packed = JSON.parse(await unpack(box.querySelector(".payload")));
    const known = (await meta()).signatures;
    const head = packed.columns.map((c) => c.name);
    const read = packed.columns.map((c) => cells(c, packed.rows));
    const order = columns.map((c) => head.indexOf(c.name));
    const records = Array.from({ length: packed.rows }, (_, i) => read.map((column) => column[i]));
    let sort = { column: -1, down: false }, page = 0, everything = false, shown = records;
    const filters = columns.map(() => "");
    let search = "";

    const count = make("span", { role: "status" });
    const where = make("span");
    const header = make("tr"), row = make("tr"), body = make("tbody");
    const table = make("table", {}, make("caption", { class: "aside" }, box.querySelector("summary").textContent.trim()),
      make("thead", {}, header, row), body);

    const pick = () => {
      const tests = filters.map((text, i) => condition(text, columns[i].number));
      const all = search.toLowerCase();
      shown = records.filter((record) =>
        tests.every((test, i) => !test || test(record[order[i]])) &&
        (!all || record.some((v) => v.toLowerCase().includes(all))));
      if (sort.column >= 0) {
        const at = order[sort.column], number = columns[sort.column].number, sign = sort.down ? -1 : 1;
        // An empty field is "not estimated": it stands last whichever way is up.
        shown = shown.slice().sort((a, b) => {
          const [x, y] = [a[at], b[at]];
          if (x === "" || y === "") return (x === "") - (y === "");
          return sign * (number ? Number(x) - Number(y) : x.localeCompare(y, "en", { numeric: true }));
        });
      }
      page = 0;
      draw();
    };
    const cell = (column, value) => {
      const td = make("td", { class: column.number ? "num" : false });
      const text = visible(value);
      if (column.name === "signature" && known[value]) {
        const info = known[value];
        td.append(make("a", { href: "#" + info.anchor, title: `${info.title}; ${info.genes.length} genes: ${info.genes.slice(0, 40).join(", ")}${info.genes.length > 40 ? ", \u2026" : ""}` }, text));
      } else if (column.name === "missing" && text.length > 60) {
        td.append(make("details", {}, make("summary", {}, `${value.split(/[|,; ]+/).length} genes`), text.split(/[|,; ]+/).join(", ")));
      } else td.append(text);
      return td;
    };
    const draw = () => {
      const visibleColumns = columns.map((c, i) => i).filter((i) => everything || columns[i].shown);
      header.replaceChildren(...visibleColumns.map((i) => {
        const state = sort.column === i ? (sort.down ? "descending" : "ascending") : "none";
        const arrow = sort.column === i ? (sort.down ? " \u25be" : " \u25b4") : "";
        return make("th", { scope: "col", "aria-sort": state },
          make("button", { type: "button", title: columns[i].help || false, on: { click: () => {
            sort = { column: i, down: sort.column === i ? !sort.down : columns[i].number && !["p", "q", "null_p"].includes(columns[i].name) };
            pick();
            header.querySelectorAll("button")[visibleColumns.indexOf(i)].focus();
          } } }, columns[i].name + arrow));
      }));
      if (row.childElementCount !== visibleColumns.length) row.replaceChildren(...visibleColumns.map((i) => {
        let timer;
        const input = make("input", { type: "text", size: "4", "aria-label": `Filter ${columns[i].name}`, placeholder: columns[i].number ? ">0.2" : "contains", on: { input: () => {
          const bad = condition(input.value, columns[i].number) === undefined;
          input.classList.toggle("wrong", bad);
          input.setAttribute("aria-invalid", bad);
          if (bad) return;
          filters[i] = input.value;
          clearTimeout(timer);
          timer = setTimeout(pick, 120);
        } } });
        input.value = filters[i];
        return make("td", {}, input);
      }));
      const last = Math.max(0, Math.ceil(shown.length / PAGE) - 1);
      page = Math.min(Math.max(page, 0), last);
      body.replaceChildren(...shown.slice(page * PAGE, (page + 1) * PAGE).map((record) =>
        make("tr", {}, ...visibleColumns.map((i) => cell(columns[i], record[order[i]])))));
      count.textContent = shown.length === records.length
        ? `${grouped(records.length)} rows`
        : `${grouped(shown.length)} of ${grouped(records.length)} rows`;
      where.textContent = `page ${grouped(page + 1)} of ${grouped(last + 1)}`;
    };
    const step = (label, by) => make("button", { type: "button", "aria-label": label, on: { click: () => { page += by; draw(); } } }, by < 0 ? "\u2039" : "\u203a");
    const find = make("input", { type: "search", "aria-label": `Search all columns of ${name}`, placeholder: "any column", on: { input: () => { search = find.value.trim(); pick(); } } });
    const more = make("input", { type: "checkbox", on: { change: () => { everything = more.checked; draw(); } } });
    const file = box.dataset.file;
    box.querySelector(".mount").replaceChildren(
      make("div", { class: "tools" }, find, count, step("Previous page", -1), where, step("Next page", 1),
        make("label", {}, more, " all columns"),
        make("button", { type: "button", class: "visible-rows", on: { click: () => save(tsv([head, ...shown]), file.replace(/\.tsv$/, ".filtered.tsv"), TSV) } }, "Download these rows"),
        make("button", { type: "button", class: "all-rows", on: { click: () => save(tsv([head, ...records]), file, TSV) } }, "Download whole table")),
      make("div", { class: "grid", tabindex: "0", role: "group", "aria-label": `Rows of ${name}` }, table));
    draw();
    box.dataset.ready = "true";
  };
  for (const box of document.querySelectorAll("details.datatable")) {
    const start = once(() => build(box));
    box.addEventListener("toggle", () => box.open && start());
    if (box.open) start();
  }

  // ---- explore --------------------------------------------------------------------------
  const canvas = document.getElementById("explore-plot");
  if (!canvas) return;
  const status = document.getElementById("explore-status");
  const choice = (name) => document.getElementById(`explore-${name}`);

  const library = once(async () => {
    for (const node of document.querySelectorAll("script.library")) {
      const text = await unpack(node);
      document.head.append(Object.assign(document.createElement("script"), { textContent: text }));
    }
    Bokeh.set_log_level("error");
    return Bokeh;
  });
  const data = once(async () => JSON.parse(await unpack(document.getElementById("explore-data"))));

  // Scores and numbers travel as whole steps between their limits; -1 is missing.
  const values = (all, cohort, key) => {
    const field = cohort.numbers[key];
    if (field) return field.steps.map((s) => (s < 0 ? NaN : field.low + (s * (field.high - field.low)) / all.most));
    return null;
  };
  const levels = (cohort, key) => cohort.groups[key] ?? null;
  const ranks = (v) => {
    const order = v.map((_, i) => i).sort((a, b) => v[a] - v[b]);
    const out = new Array(v.length);
    for (let i = 0; i < order.length; ) {
      let j = i;
      while (j + 1 < order.length && v[order[j + 1]] === v[order[i]]) j++;
      for (let k = i; k <= j; k++) out[order[k]] = (i + j) / 2;
      i = j + 1;
    }
    return out;
  };
  const spearman = (x, y) => {
    const [a, b] = [ranks(x), ranks(y)], mean = (x.length - 1) / 2;
    let top = 0, left = 0, right = 0;
    for (let i = 0; i < a.length; i++) {
      top += (a[i] - mean) * (b[i] - mean);
      left += (a[i] - mean) ** 2;
      right += (b[i] - mean) ** 2;
    }
    return top / Math.sqrt(left * right);
  };
  // The same spread for the same point every time: no chance in a figure.
  const wobble = (i) => {
    let x = 0, f = 0.5;
    for (let n = i + 1; n; n = Math.floor(n / 2), f /= 2) x += f * (n % 2);
    return (x - 0.5) * 0.6;
  };

  let view = null, current = null;
  const draw = async () => {
    const [bokeh, all] = await Promise.all([library(), data()]);
    const cohort = all.cohorts[Number(choice("cohort").value)];
    const [kx, ky, kc] = ["x", "y", "colour"].map((k) => choice(k).value);
    const axis = (key) => {
      const v = values(all, cohort, key);
      if (v) return { v, label: all.labels[key], ticks: null };
      const g = levels(cohort, key);
      if (!g) return { v: cohort.samples.map(() => NaN), label: `${all.labels[key] ?? key} (not in this cohort)`, ticks: null };
      return { v: g.codes.map((c, i) => (c < 0 ? NaN : c + wobble(i))), label: all.labels[key], ticks: g.levels };
    };
    const x = axis(kx), y = axis(ky);
    const groups = levels(cohort, kc);
    const colours = all.colours[kc] ?? {};
    const groupOf = (i) => (groups && groups.codes[i] >= 0 ? groups.levels[groups.codes[i]] : kc ? "missing" : "all");
    const keep = cohort.samples.map((_, i) => i).filter((i) => Number.isFinite(x.v[i]) && Number.isFinite(y.v[i]));
    const css = getComputedStyle(root);
    const [ink, grid, paper, muted] = ["--ink", "--grid", "--paper", "--muted"].map((v) => css.getPropertyValue(v).trim());
    const names = [...(groups ? groups.levels : []), ...(kc ? ["missing"] : ["all"])];
    const P = bokeh.Plotting;
    const title = `${cohort.simulated ? "SIMULATED \u2013 " : ""}${visible(cohort.name)}`;
    const figure = P.figure({
      title, sizing_mode: "stretch_width", height: 460, tools: "pan,box_zoom,wheel_zoom,reset", toolbar_location: "above",
      x_axis_label: x.label, y_axis_label: y.label, background_fill_color: paper, border_fill_color: paper,
      outline_line_color: null,
    });
    figure.toolbar.logo = null;
    figure.toolbar.active_scroll = null;
    const font = "DejaVu Sans, Verdana, sans-serif";
    Object.assign(figure.title, { text_color: ink, text_font: font, text_font_size: "13px" });
    for (const [one, info] of [[figure.xaxis, x], [figure.yaxis, y]]) for (const a of [...one]) {
      Object.assign(a, { axis_label_text_color: ink, major_label_text_color: ink, axis_line_color: muted, major_tick_line_color: muted,
        minor_tick_line_color: null, axis_label_text_font: font, major_label_text_font: font, axis_label_text_font_style: "normal",
        axis_label_text_font_size: "12px", major_label_text_font_size: "11px" });
      if (info.ticks) {
        a.ticker = new bokeh.FixedTicker({ ticks: info.ticks.map((_, i) => i) });
        a.major_label_overrides = new Map(info.ticks.map((t, i) => [i, visible(t)]));
      }
    }
    for (const g of [...figure.xgrid, ...figure.ygrid]) g.grid_line_color = grid;
    const items = [], renderers = [];
    names.forEach((group, n) => {
      const rows = keep.filter((i) => groupOf(i) === group);
      if (!rows.length) return;
      const source = new bokeh.ColumnDataSource({ data: {
        x: rows.map((i) => x.v[i]), y: rows.map((i) => y.v[i]), sample: rows.map((i) => visible(cohort.samples[i])), group: rows.map(() => visible(group)),
      } });
      const colour = colours[group] ?? (group === "missing" ? "#999999" : all.palette[n % all.palette.length]);
      const drawn = figure.scatter({ field: "x" }, { field: "y" }, { source, size: 6, fill_color: colour, line_color: paper, line_width: 0.4, fill_alpha: 0.8 });
      items.push(new bokeh.LegendItem({ label: `${visible(group)} (${rows.length})`, renderers: [drawn] }));
      renderers.push(drawn);
    });
    figure.add_tools(new bokeh.HoverTool({ renderers, tooltips: [["sample", "@sample"], ["group", "@group"], [kx, "@x{0.00}"], [ky, "@y{0.00}"]] }));
    if (kc && items.length) figure.add_layout(new bokeh.Legend({ items, orientation: "horizontal", location: "top_left", title: all.labels[kc],
      background_fill_color: paper, border_line_color: null, label_text_color: ink, title_text_color: ink, label_text_font: font, title_text_font: font,
      label_text_font_size: "11px", title_text_font_size: "11px", title_text_font_style: "normal" }), "below");
    if (view) view.remove?.();
    canvas.replaceChildren();
    view = await P.show(figure, canvas);
    const both = values(all, cohort, kx) && values(all, cohort, ky) && keep.length > 2;
    const rho = both ? spearman(keep.map((i) => x.v[i]), keep.map((i) => y.v[i])) : NaN;
    status.textContent = `${grouped(keep.length)} of ${grouped(cohort.samples.length)} samples` +
      (Number.isFinite(rho) ? `; Spearman \u03c1 = ${rho.toFixed(2).replace("-", "\u2212")}, not adjusted, no test` : "");
    current = { cohort, keep, x, y, kx, ky, kc, groupOf };
    canvas.dataset.drawn = [cohort.name, kx, ky, kc].join(" ");
  };
  const stem = () => `${current.cohort.simulated ? "SIMULATED_" : ""}${current.cohort.name}_${current.kx}_${current.ky}`.replace(/[^\w.-]+/g, "-");
  const picture = async (type) => {
    const layer = view.export(type);
    save(await layer.to_blob(), `${stem()}.${type}`);
  };
  choice("svg").addEventListener("click", () => picture("svg"));
  choice("png").addEventListener("click", () => picture("png"));
  choice("tsv").addEventListener("click", () => {
    const { cohort, keep, x, y, kx, ky, kc, groupOf } = current;
    const g = (info, key, i) => (info.ticks ? info.ticks[cohort.groups[key].codes[i]] : Number(info.v[i].toPrecision(6)).toString());
    const lines = keep.map((i) => [cohort.samples[i], g(x, kx, i), g(y, ky, i), groupOf(i)]);
    save(tsv([["sample", kx, ky, kc || "group"], ...lines]), `${stem()}.tsv`, TSV);
  });
  const begin = once(async () => {
    try {
      await draw();
      for (const node of document.querySelectorAll("#explore select")) node.addEventListener("change", draw);
      document.addEventListener("themechange", draw);
      for (const node of document.querySelectorAll("#explore button, #explore select")) node.disabled = false;
    } catch (error) {
      status.textContent = `The interactive view can't be drawn in this browser (${error.message}).`;
      throw error;
    }
  });
  new IntersectionObserver((entries, self) => {
    if (entries.some((e) => e.isIntersecting)) {
      self.disconnect();
      begin();
    }
  }, { rootMargin: "400px" }).observe(canvas);
})();
