"use strict";
// Tabs, sorting and filters. What is chosen stands in the address after "#", so that a link leads to it:
// tab=ID  sort=COLUMN  dir=ascending|descending  filter=TEXT  where.COLUMN=TEXT  show=attacks,filters  model=ID
(() => {
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const state = new URLSearchParams(location.hash.slice(1));
  const search = document.getElementById("filter");
  const panels = all('section[role="tabpanel"]');

  const set = (name, value) => {
    if (value) state.set(name, value);
    else state.delete(name);
    const text = state.toString();
    history.replaceState(null, "", text ? "#" + text : location.pathname + location.search);
    show();
  };

  // ── tabs ──

  const choose = (list, chosen) => {
    for (const tab of all('[role="tab"]', list)) {
      const is = tab === chosen;
      tab.setAttribute("aria-selected", String(is));
      tab.tabIndex = is ? 0 : -1;
      document.getElementById(tab.getAttribute("aria-controls")).hidden = !is;
    }
  };
  const showTabs = () => {
    const panel = panels.find((each) => each.id === state.get("tab")) || panels[0];
    if (!panel) return;
    const outer = panel.parentElement;
    choose(all('[role="tablist"]', outer)[0], document.getElementById("tab-" + panel.id));
    choose(all('main > [role="tablist"]')[0], document.getElementById(outer.getAttribute("aria-labelledby")));
  };
  const panelOf = (tab) => {
    const target = document.getElementById(tab.getAttribute("aria-controls"));
    return target.matches("section") ? target : target.querySelector('section[role="tabpanel"]');
  };
  for (const tab of all('[role="tab"]')) {
    tab.addEventListener("click", () => set("tab", panelOf(tab).id));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
      if (!step) return;
      const tabs = all('[role="tab"]', tab.parentElement);
      const at = tabs.indexOf(tab) + step;
      const next = Number.isFinite(at) ? tabs[(at + tabs.length) % tabs.length] : tabs[at < 0 ? 0 : tabs.length - 1];
      event.preventDefault();
      next.focus();
      next.click();
    });
  }

  // ── sorting ──

  const columns = (table) => all("thead tr:first-child th", table);
  const valueOf = (row, place) => row.cells[place].dataset.value;
  const compare = (one, other, isNumber) => {
    const [a, b] = isNumber ? [parseFloat(one), parseFloat(other)] : [one, other];
    if (!isNumber) return a.localeCompare(b, undefined, { numeric: true });
    return a - b;
  };
  const sort = (table) => {
    const heads = columns(table);
    const place = heads.findIndex((head) => head.dataset.column === state.get("sort"));
    heads.forEach((head, at) => head.setAttribute("aria-sort", at === place ? direction() : "none"));
    const body = table.tBodies[0];
    const rows = [...body.rows].sort((one, other) => one.dataset.place - other.dataset.place);
    if (place >= 0) {
      const isNumber = heads[place].dataset.kind === "number";
      const sign = direction() === "descending" ? -1 : 1;
      const isKnown = (row) => (isNumber ? !Number.isNaN(parseFloat(valueOf(row, place))) : valueOf(row, place) !== "");
      rows.sort((one, other) => {
        // What is not known comes last either way.
        if (!isKnown(one) || !isKnown(other)) return isKnown(other) - isKnown(one);
        return sign * compare(valueOf(one, place), valueOf(other, place), isNumber);
      });
    }
    body.append(...rows);
  };
  const direction = () => (state.get("dir") === "descending" ? "descending" : "ascending");

  // ── filters ──

  const fits = (text, wanted) => {
    const asked = /^\s*(>=|<=|≥|≤|>|<|=)\s*(-?[\d.]+)\s*$/.exec(wanted);
    if (!asked) return text.toLowerCase().includes(wanted.trim().toLowerCase());
    const [value, bound] = [parseFloat(text), parseFloat(asked[2])];
    const answers = { ">": value > bound, "<": value < bound, "=": value === bound };
    return answers[asked[1]] ?? (/>|≥/.test(asked[1]) ? value >= bound : value <= bound);
  };
  const filter = (board) => {
    const heads = columns(board.querySelector("table"));
    const wanted = heads.map((head) => state.get("where." + head.dataset.column) || "");
    const text = (state.get("filter") || "").trim().toLowerCase();
    const shown = new Set();
    for (const row of board.querySelector("tbody").rows) {
      const whole = [...row.cells].map((cell) => cell.dataset.value).join(" ").toLowerCase();
      const is = whole.includes(text) && wanted.every((each, at) => !each || fits(valueOf(row, at), each));
      row.hidden = !is;
      if (is) shown.add(row.dataset.model);
    }
    for (const model of all("details[data-model]", board)) model.hidden = !shown.has(model.dataset.model);
    board.querySelector(".empty").hidden = shown.size > 0;
  };

  // ── all of it ──

  const show = () => {
    showTabs();
    const switched = (state.get("show") || "").split(",");
    search.value = state.get("filter") || "";
    for (const board of all("article")) {
      sort(board.querySelector("table"));
      filter(board);
      board.classList.toggle("attacks", switched.includes("attacks"));
      board.querySelector(".filters").hidden = !switched.includes("filters");
      for (const field of all(".filters input", board)) field.value = state.get("where." + field.dataset.column) || "";
      for (const each of all("[data-switch]", board))
        each.setAttribute("aria-pressed", String(switched.includes(each.dataset.switch)));
    }
  };
  const open = (id) => {
    const model = document.getElementById(id);
    if (!model?.matches("details[data-model]")) return;
    state.set("tab", model.closest('section[role="tabpanel"]').id);
    set("model", id);
    model.open = true;
    model.scrollIntoView({ block: "start" });
    model.querySelector("summary").focus({ preventScroll: true });
  };

  for (const table of all("article table")) {
    [...table.tBodies[0].rows].forEach((row, place) => (row.dataset.place = place));
    for (const head of columns(table))
      head.querySelector("button").addEventListener("click", () => {
        // Numbers begin with the largest, names and ranks with the first.
        const first = head.dataset.kind === "number" && head.dataset.column !== "rank" ? "descending" : "ascending";
        const isSame = state.get("sort") === head.dataset.column;
        const turned = direction() === "ascending" ? "descending" : "ascending";
        state.set("dir", isSame ? turned : first);
        set("sort", head.dataset.column);
      });
  }
  search.addEventListener("input", () => set("filter", search.value));
  for (const field of all(".filters input"))
    field.addEventListener("input", () => set("where." + field.dataset.column, field.value));
  for (const each of all("[data-switch]"))
    each.addEventListener("click", () => {
      const switched = new Set((state.get("show") || "").split(",").filter(Boolean));
      if (!switched.delete(each.dataset.switch)) switched.add(each.dataset.switch);
      set("show", [...switched].join(","));
    });
  for (const link of all("[data-open]"))
    link.addEventListener("click", (event) => {
      event.preventDefault();
      open(link.dataset.open);
    });
  addEventListener("hashchange", () => {
    for (const name of [...state.keys()]) state.delete(name);
    for (const [name, value] of new URLSearchParams(location.hash.slice(1))) state.set(name, value);
    show();
    if (state.get("model")) open(state.get("model"));
  });

  document.body.classList.add("tabbed");
  for (const each of all('.tools, [role="tablist"]')) each.hidden = false;
  show();
  if (state.get("model")) open(state.get("model"));
})();
