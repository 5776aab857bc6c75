// Draws a run's page from the JSON in it. Whatever comes from the run becomes text, never markup.
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const page = document.getElementById("page");
  const { run, accounts } = data;
  const COLOURS = ["var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)", "var(--c5)", "var(--c6)"];

  // ---- words ----

  const count = (n) => (n === null || n === undefined ? "not known" : n.toLocaleString("en-US"));
  const many = (n, one, several) => `${count(n)} ${n === 1 ? one : several || one + "s"}`;
  const usd = (n) => (n === null || n === undefined ? "not known" : `${n.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: n && Math.abs(n) < 0.1 ? 4 : 2 })} USD`);
  const share = (part) => `${(100 * part).toLocaleString("en-US", { maximumFractionDigits: 1 })} %`;
  const figure = (n, digits = 3) => (n === null ? "" : n.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }));
  const time = (at) => (at === null || at === undefined ? "not known" : `${new Date(1000 * at).toISOString().slice(0, 19).replace("T", " ")} UTC`);
  const size = (bytes) => `${count(bytes)} bytes`;
  const counts = (pairs) => Object.entries(pairs).map(([name, n]) => `${count(n)} ${name}`).join(", ") || "none";

  function seconds(s) {
    if (s === null || s === undefined) return "not known";
    if (s < 60) return `${figure(s, s < 10 ? 1 : 0)} s`;
    const minutes = Math.round(s / 60);
    if (minutes < 60) return `${minutes} min`;
    if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
    return `${count(Math.round(minutes / 60))} h`;
  }

  // ---- elements ----

  function make(name, attributes, ...children) {
    const found = document.createElement(name);
    Object.entries(attributes || {}).filter(([, value]) => value !== null && value !== undefined).forEach(([key, value]) => found.setAttribute(key, value));
    found.append(...children.filter((child) => child !== null));
    return found;
  }

  function section(id, title, ...children) {
    page.append(make("section", { id, "aria-labelledby": `${id}-title` }, make("h2", { id: `${id}-title` }, title), ...children));
  }

  // A column is [title, of a row the text or an element, kind: "number", "code", "text" or none]; without titles the
  // first column has the headings.
  function table(caption, columns, rows) {
    const cell = (name, kind, content, more) => make(name, { class: kind, ...more }, content === null || content === undefined ? "" : content);
    const titled = columns.some(([title]) => title);
    const headings = columns.map(([title, , kind]) => cell("th", kind === "number" ? kind : null, title, { scope: "col" }));
    return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
      make("table", {},
        make("caption", {}, caption),
        titled ? make("thead", {}, make("tr", {}, ...headings)) : null,
        make("tbody", {}, ...rows.map((row) => make("tr", {}, ...columns.map(([, of, kind], position) =>
          (titled || position ? cell("td", kind, of(row)) : cell("th", kind, of(row), { scope: "row" }))))))));
  }

  const pairs = (caption, rows, kind = "text") => table(caption, [["", (row) => row[0]], ["", (row) => row[1], kind]], rows);
  const folded = (title, ...children) => make("details", {}, make("summary", {}, title), ...children);
  const long = (title, ...children) => make("details", { class: "screen" }, make("summary", {}, title), ...children); // not on paper
  const code = (text) => make("code", {}, text);

  // Charts are drawn for the width that there is, and anew when that changes.
  const charts = [];

  function chart(title, alt, draw) {
    const place = make("div", { class: "chart" });
    charts.push({ place, alt, draw, width: 0 });
    return make("figure", {}, make("figcaption", {}, title), place);
  }

  function redraw(chart, width) {
    if (!width || width === chart.width) return;
    chart.width = width;
    const drawn = chart.draw(width);
    drawn.setAttribute("role", "img");
    drawn.setAttribute("aria-label", chart.alt);
    chart.place.replaceChildren(drawn);
  }

  const plot = (width, options) => Plot.plot({ width, className: "plot", style: { background: "transparent", color: "inherit", fontFamily: "inherit", fontSize: "12px" }, ...options });

  function legend(entries) {
    return make("ul", { class: "legend" }, ...entries.map(([name, colour, shape]) => {
      const mark = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      const drawn = document.createElementNS("http://www.w3.org/2000/svg", shape === "dot" ? "circle" : "rect");
      const geometry = shape === "dot" ? { cx: 6, cy: 6, r: 4.5 } : { x: 0, y: 2, width: 12, height: 8 };
      for (const [key, value] of Object.entries({ ...geometry, fill: colour })) drawn.setAttribute(key, value);
      Object.entries({ viewBox: "0 0 12 12", "aria-hidden": "true" }).forEach(([key, value]) => mark.setAttribute(key, value));
      mark.append(drawn);
      return make("li", {}, mark, name);
    }));
  }

  // ---- the head, and the accounts in exact numbers ----

  function head() {
    const took = run.ended_at === null ? "" : `, to ${time(run.ended_at)} (${seconds(run.ended_at - run.began_at)})`;
    const names = { accounts: "Accounts", best: "Best molecules", scores: "Scores", timeline: "Timeline", cost: "Cost", failures: "Failures", provenance: "What ran" };
    page.append(make("header", {},
      make("h1", {}, run.name, " ", make("span", { class: `status ${run.status}` }, run.status)),
      make("p", { class: "muted" }, `${run.tool}, from ${time(run.began_at)}${took}${run.epoch > 1 ? `, epoch ${run.epoch}` : ""}`),
      run.cause ? make("p", { class: "cause" }, `${run.error}: ${run.cause}`) : null));
    return () => {
      const there = Object.entries(names).filter(([id]) => document.getElementById(id));
      page.firstChild.append(make("nav", { "aria-label": "On this page" }, ...there.map(([id, name]) => make("a", { href: `#${id}` }, name))));
    };
  }

  function accounting() {
    const columns = ["done", "failed", "skipped", "remaining"];
    const tile = (name, value) => make("div", {}, make("dt", {}, name), make("dd", {}, value));
    const bar = make("div", { class: "bar", "aria-hidden": "true" });
    for (const name of columns) {
      const part = make("span", { class: `${name}-part` });
      part.style.width = `${accounts.inputs ? (100 * accounts[name]) / accounts.inputs : 0}%`;
      bar.append(part);
    }
    const molecules = data.knows_molecules && (accounts.molecules || accounts.failed_molecules);
    const least = accounts.at_least ? "at least " : "";
    const rows = [
      ["inputs", count(accounts.inputs)],
      ...columns.map((name) => [`… ${name}`, count(accounts[name])]),
      ...(molecules ? [["molecules scored", count(accounts.molecules - accounts.failed_molecules)], ["molecules that could not be scored", count(accounts.failed_molecules)]] : []),
      ["shards, rounds, jobs", `${count(data.timeline.of)}, ${count(accounts.rounds)}, ${count(accounts.jobs)}`],
      ["starts of containers", least + count(accounts.attempts)],
      ["… that did not end well", least + count(Object.values(accounts.interruptions).reduce((sum, n) => sum + n, 0))],
      ["parts that count", count(accounts.parts)],
      ["work that counts", `${count(accounts.seconds)} s (${seconds(accounts.seconds)})`],
      ["work that was lost", accounts.lost_seconds === null ? "not known" : `${least}${count(accounts.lost_seconds)} s (${seconds(accounts.lost_seconds)})`],
      ["markers: late, voided, strange", `${count(accounts.late_markers)}, ${count(accounts.voided_markers)}, ${count(accounts.strange_markers)}`],
    ];
    section("accounts", "Accounts",
      make("dl", { class: "figures" }, tile("inputs", count(accounts.inputs)), ...columns.map((name) => tile(name, count(accounts[name])))),
      bar,
      make("p", {}, `${count(accounts.inputs)} inputs = ${columns.map((name) => `${count(accounts[name])} ${name}`).join(" + ")}.`,
        molecules ? ` ${many(accounts.molecules - accounts.failed_molecules, "molecule")} scored.` : ""),
      folded("every figure", pairs("The accounts, as in accounting.json", rows, "number")));
  }

  // ---- molecules ----

  const unit = data.scores && data.scores.unit ? ` (${data.scores.unit})` : "";
  const leaf = (uri) => uri.slice(uri.lastIndexOf("/") + 1);

  function molecules() {
    if (!data.best.length) return;
    const drawable = data.best.filter((one) => one.smiles).slice(0, 18);
    const cards = drawable.map((one) => {
      const place = make("div", { class: "undrawn" }, "…");
      toDraw.push([one, place]);
      return make("li", {}, place,
        make("div", { class: "name" }, make("span", {}, make("span", { class: "rank" }, count(one.rank)), one.id), make("span", { class: "score" }, figure(one.score))));
    });
    const columns = [["", (one) => count(one.rank), "number"], ["molecule", (one) => one.id, "text"], [`score${unit}`, (one) => figure(one.score), "number"],
      ...(drawable.length ? [["SMILES", (one) => one.smiles || "", "code"]] : []),
      ["input", (one) => leaf(one.input), "text"], ["index", (one) => (one.index === null ? "" : count(one.index)), "number"]];
    const listed = table(`The best ${many(data.best.length, "molecule")}, best first; top.csv has more where there are more`, columns, data.best);
    section("best", "Best molecules",
      make("p", {}, "Each molecule once, with its best score; lower is better. ", drawable.length ? "Drawn from the SMILES of the inputs." : "The inputs say no SMILES, so none is drawn."),
      drawable.length ? make("ol", { class: "molecules", "aria-label": "The best molecules, drawn" }, ...cards) : null,
      drawable.length ? long("as a table, with their SMILES", listed) : listed);
  }

  // What is drawn fills its place, but small molecules do not grow beyond the others.
  function crop(svg) {
    const { x, y, width, height } = svg.getBBox();
    const [wide, high] = [Math.max(width + 12, 190), Math.max(height + 12, 115)];
    svg.setAttribute("viewBox", [x + width / 2 - wide / 2, y + height / 2 - high / 2, wide, high].join(" "));
  }

  const toDraw = [];
  const THEME = { C: "c", H: "c", N: "n", O: "o", S: "s", F: "f", CL: "cl", BR: "br", I: "i", P: "p", B: "x", SI: "x" };

  // One at a time, so that the page answers meanwhile.
  function drawMolecules() {
    const colours = Object.fromEntries(Object.entries(THEME).map(([name, atom]) => [name, `var(--atom-${atom})`]));
    const themes = { page: { ...colours, BACKGROUND: "var(--ground)" } };
    const next = () => {
      if (!toDraw.length) return void document.documentElement.setAttribute("data-drawn", "");
      const [one, place] = toDraw.shift();
      try {
        const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
        const drawer = new SmilesDrawer.SvgDrawer({ width: 240, height: 160, padding: 8, bondThickness: 1.2, terminalCarbons: false, compactDrawing: false, themes });
        place.replaceChildren(svg);
        if (one.smiles.length > 250) throw new RangeError("nobody could read it");
        SmilesDrawer.parse(one.smiles, (tree) => drawer.draw(tree, svg, "page"), (error) => { throw error; });
        Object.entries({ role: "img", "aria-label": `structure of ${one.id}` }).forEach(([key, value]) => svg.setAttribute(key, value));
        svg.removeAttribute("style");
        place.replaceWith(svg);
        crop(svg);
      } catch {
        place.replaceChildren("no drawing of its SMILES");
      }
      setTimeout(next);
    };
    next();
  }

  // ---- scores ----

  function scores() {
    const told = data.scores;
    if (!told) return;
    const at = Object.fromEntries(told.quantiles);
    const spread = Math.max(at["0.995"] - at["0.001"], told.width);
    const from = told.count >= 200 && at["0.001"] - told.lowest > spread ? at["0.001"] : told.lowest;
    const to = told.count >= 200 && told.highest - at["0.995"] > spread / 2 ? at["0.995"] : told.highest;
    let width = told.width;
    while ((to - from) / width > 64 || (to - from) / width > 4 * Math.sqrt(told.count)) width *= 2;
    const sums = d3.rollups(told.bins, (some) => d3.sum(some, ([, n]) => n), ([edge]) => Math.floor(edge / width) * width);
    const bars = sums.sort((a, b) => a[0] - b[0]).map(([low, n]) => ({ low, high: low + width, n }));
    const shown = bars.filter((bar) => bar.high > from && bar.low <= to);
    const left = (test) => bars.filter(test).reduce((sum, bar) => sum + bar.n, 0);
    const better = left((bar) => bar.high <= from), worse = left((bar) => bar.low > to);
    const aside = [better ? `${many(better, "score")} from ${figure(told.lowest)} to ${figure(shown[0].low)}` : "", worse ? `${many(worse, "score")} from ${figure(shown[shown.length - 1].high)} to ${figure(told.highest)}` : ""].filter(Boolean);
    let scale = "linear";
    const drawing = chart(`Molecules by score${unit}; lower is better`, `Histogram of ${count(told.count)} scores from ${figure(told.lowest)} to ${figure(told.highest)}, median ${figure(at["0.5"])}`, (room) => plot(room, {
      height: 260, marginLeft: 56, marginBottom: 38, marginTop: 30,
      x: { label: `score${unit}`, labelAnchor: "center", labelArrow: "none" },
      y: scale === "log" ? { type: "log", label: "molecules, logarithmic", labelArrow: "none", grid: true, domain: [0.7, Math.max(10, ...shown.map((bar) => bar.n))], ticks: 5, tickFormat: (n) => (Number.isInteger(Math.log10(n)) ? count(n) : "") } : { label: "molecules", labelArrow: "none", grid: true, ticks: 5 },
      marks: [
        Plot.rectY(shown, { x1: "low", x2: "high", y1: scale === "log" ? 0.7 : 0, y2: "n", fill: "var(--accent)", inset: 0.5, title: (bar) => `${figure(bar.low)} to ${figure(bar.high)}: ${many(bar.n, "molecule")}` }),
        Plot.ruleX([at["0.5"]], { stroke: "currentColor", strokeDasharray: "3,3" }),
        Plot.text([at["0.5"]], { x: (q) => q, frameAnchor: "top", dy: -13, text: () => "median", fill: "currentColor" }),
        ...(scale === "log" ? [] : [Plot.ruleY([0])]),
      ],
    }));
    const choose = (name, text) => {
      const button = make("input", { type: "radio", name: "scale", value: name, checked: name === scale ? "" : null });
      button.addEventListener("change", () => { scale = name; charts.forEach((one) => { one.width = 0; }); fit(); });
      return make("label", {}, button, ` ${text}`);
    };
    section("scores", "Score distribution",
      make("p", {}, `${many(told.count, "score")}, from ${figure(told.lowest)} to ${figure(told.highest)}, median ${figure(at["0.5"])}.`,
        aside.length ? ` Not drawn: ${aside.join("; ")}.` : "",
        told.untold ? ` ${many(told.untold, "molecule")} of earlier epochs are not among them.` : "",
        told.beyond ? ` ${many(told.beyond, "score")} beyond all bounds are not among them.` : ""),
      make("div", { class: "choice", role: "radiogroup", "aria-label": "scale of the chart" }, choose("linear", "linear"), choose("log", "logarithmic, for the few at the ends")),
      drawing,
      folded("as a table", table("So many percent of the molecules have a score below", [["percent", (row) => share(row[0]), "number"], [`score${unit}`, (row) => figure(row[1], 2), "number"]], told.quantiles)),
      long("bar by bar", table("The bars of the chart", [["from", (bar) => figure(bar.low), "number"], ["to", (bar) => figure(bar.high), "number"], ["molecules", (bar) => count(bar.n), "number"]], bars)));
  }

  // ---- timeline ----

  const classes = data.interruptions.map((one) => one.class);
  const colour = (name) => COLOURS[Math.min(Math.max(classes.indexOf(name), 0), COLOURS.length - 1)];
  const date = (at) => new Date(1000 * at);
  const utc = { time: d3.utcFormat("%H:%M"), exact: d3.utcFormat("%H:%M:%S"), day: d3.utcFormat("%-d %b") };
  const axis = (from, to, width) => ({
    type: "utc", domain: [date(from), date(to)], label: "time (UTC)", labelAnchor: "center", labelArrow: "none", ticks: width < 500 ? 4 : 8,
    tickFormat: (at, position) => (to - from > 5 * 86400 ? utc.day(at) : `${(to - from < 600 ? utc.exact : utc.time)(at)}${position && at % 86400000 ? "" : `\n${utc.day(at)}`}`),
  });
  const within = (found, from, to) => found.flatMap((one) => one.times.filter(([at]) => at >= from - one.seconds && at <= to + 60).map(([at, n]) => ({ class: one.class, from: at, to: at + one.seconds, n })));

  function lanes(epoch, from, to) {
    const rounds = data.timeline.lanes.flatMap((lane) => lane.rounds.filter((round) => round.epoch === epoch.epoch).map((round) => ({ ...round, shard: lane.shard, until: round.ended_at === null ? to : round.ended_at })));
    const moments = data.timeline.lanes.flatMap((lane) => within(lane.interruptions, from, to).map((one) => ({ ...one, shard: lane.shard })));
    const shards = [...new Set(rounds.map((round) => round.shard))];
    return (width) => plot(width, {
      height: 72 + Math.max(shards.length, 2) * (shards.length > 30 ? 11 : 20), marginLeft: 64, marginBottom: 48,
      x: { ...axis(from, to, width), grid: true },
      y: { domain: shards, label: "shard", labelArrow: "none", tickFormat: (n) => (shards.length > 30 && n % 5 ? "" : String(n)), padding: 0.35 },
      r: { range: [3, 8] },
      marks: [
        Plot.barX(rounds, { x1: (round) => date(round.began_at), x2: (round) => date(round.until), y: "shard", fill: (round) => (round.queue === "spot" ? "var(--spot)" : "var(--on-demand)"), insetRight: 0.5, title: (round) => `shard ${round.shard}, round ${round.number}, ${round.queue}\n${many(round.jobs, "job")}, ${time(round.began_at)} to ${time(round.ended_at)}${Object.keys(round.failures).length ? `\njobs that failed: ${counts(round.failures)}` : ""}` }),
        Plot.dot(moments, { x: (one) => date((one.from + one.to) / 2), y: "shard", r: "n", fill: (one) => colour(one.class), stroke: "var(--ground)", title: (one) => `${count(one.n)} ${one.class}, ${time(one.from)}` }),
      ],
    });
  }

  const strip = (from, to, height, label, mark) => (width) => plot(width, {
    height, marginLeft: 56, marginBottom: 48, x: axis(from, to, width), y: { label, labelArrow: "none", grid: true, ticks: 4 }, marks: [mark, Plot.ruleY([0])],
  });

  const crowd = (epoch, from, to) => strip(from, to, 210, "rounds", Plot.areaY(epoch.at_work.map(([at, n]) => ({ at: date(at), n })), { x: "at", y: "n", curve: "step-after", fill: "var(--spot)" }));

  function interrupted(from, to) {
    const wide = (to - from) / 60;
    const slots = d3.rollups(within(data.timeline.interruptions, from, to), (some) => d3.sum(some, (one) => one.n),
      (one) => Math.min(59, Math.max(0, Math.floor((one.from - from) / wide))), (one) => one.class);
    const found = slots.flatMap(([slot, some]) => some.map(([name, n]) => ({ class: name, n, from: from + slot * wide })));
    return strip(from, to, 160, "attempts", Plot.rectY(found, Plot.stackY({ x1: (one) => date(one.from), x2: (one) => date(one.from + wide), y: "n", fill: (one) => colour(one.class), order: classes, inset: 0.5, title: (one) => `${one.class}: ${count(one.n)}` })));
  }

  function timeline() {
    const told = data.timeline;
    if (!told.shards.length) return;
    const epochs = told.epochs.filter((epoch) => epoch.from !== null).slice(-6);
    const onDemand = told.lanes.some((lane) => lane.rounds.some((round) => round.queue !== "spot"));
    const figures = epochs.flatMap((epoch, position) => {
      const [from, last] = [epoch.from, Math.max(epoch.to || 0, epoch.from + 1)];
      const to = Math.min(last, position + 1 < epochs.length ? epochs[position + 1].from : Infinity);
      const which = epochs.length > 1 ? ` of epoch ${epoch.epoch}` : "";
      if (told.lanes.length) return [chart(`Rounds of the shards${which}; each dot is attempts that did not end well`, `Rounds of ${many(told.lanes.length, "shard")} from ${time(from)} to ${time(to)}; the table below has the figures`, lanes(epoch, from, to))];
      const drawn = [chart(`Rounds at work${which}`, `Rounds at work from ${time(from)} to ${time(to)}`, crowd(epoch, from, to))];
      if (within(told.interruptions, from, to).length) drawn.push(chart(`Attempts that did not end well${which}`, `Attempts that did not end well from ${time(from)} to ${time(to)}, by class; the table of interruptions has the figures`, interrupted(from, to)));
      return drawn;
    });
    const lost = accounts.lost_seconds, total = Object.values(accounts.interruptions).reduce((sum, n) => sum + n, 0);
    section("timeline", "Timeline",
      make("p", {}, `${many(told.of, "shard")}, ${many(accounts.rounds, "round")}. `,
        total ? `${accounts.at_least ? "At least " : ""}${many(total, "start")} of containers did not end well (${counts(accounts.interruptions)}); ${lost === null ? "how much work that cost is not known" : `${seconds(lost)} of work were lost and done again, ${share(lost / Math.max(accounts.seconds + lost, 1e-9))} of all`}.` : "Nothing was interrupted."),
      figures.length && (told.lanes.length || classes.length) ? legend([...(told.lanes.length ? [["on Spot", "var(--spot)"], ...(onDemand ? [["On-Demand", "var(--on-demand)"]] : [])] : []), ...classes.slice(0, COLOURS.length).map((name) => [name, colour(name), told.lanes.length ? "dot" : "rect"])]) : null,
      ...figures,
      long(told.of > told.shards.length ? `the ${told.shards.length} shards that it went worst with, as a table` : "as a table",
        table("Shards: when they were worked on, and what they took", [["shard", (row) => count(row.shard), "number"], ["from", (row) => (row.began_at === null ? "" : time(row.began_at))], ["to", (row) => (row.ended_at === null ? "" : time(row.ended_at))],
          ...["inputs", "done", "failed", "skipped", "remaining", "rounds", "attempts"].map((name) => [name, (row) => count(row[name]), "number"]),
          ["did not end well", (row) => counts(row.interruptions)], ["lost", (row) => seconds(row.lost_seconds), "number"], ["On-Demand", (row) => share(row.on_demand_share), "number"]], told.shards)));
  }

  // ---- cost ----

  function cost() {
    const told = data.cost, pilot = told.pilot, projected = pilot && pilot.projected_usd;
    const rows = [
      ["work that counts", seconds(told.seconds), usd(((told.seconds * told.vcpus) / 3600) * told.vcpu_hour_usd)],
      ["work that was lost", `${told.at_least && told.lost_seconds !== null ? "at least " : ""}${seconds(told.lost_seconds)}`, told.lost_seconds === null ? "not known" : usd(((told.lost_seconds * told.vcpus) / 3600) * told.vcpu_hour_usd)],
      ...(told.metered_usd === null ? [] : [["by the meters of its budget, looked at every five minutes", "", usd(told.metered_usd)]]),
      ["spent, about", "", usd(told.spent_usd)],
      ...(told.budget_usd === null ? [] : [["stop_after_usd", "", usd(told.budget_usd)]]),
      ...(told.settled ? [["for 1,000 settled inputs", "", usd((1000 * told.spent_usd) / told.settled)]] : []),
    ];
    const bars = projected ? [{ what: "after the pilot", usd: pilot.rest_usd }, { what: "projected", usd: projected.likely, low: projected.low, high: projected.high }] : [{ what: "spent", usd: told.spent_usd }];
    if (told.budget_usd !== null) bars.push({ what: "budget", usd: told.budget_usd });
    const alt = bars.map((bar) => `${bar.what} ${usd(bar.usd)}`).join(", ");
    section("cost", "Cost",
      make("p", {}, `About ${usd(told.spent_usd)}: vCPU-seconds at ${told.vcpu_hour_usd} USD a vCPU-hour, the price that the stack was given. Waiting machines, storage and requests are not in it. ${share(told.on_demand_share)} of the jobs ran On-Demand.`),
      projected ? make("p", {}, `The pilot of ${many(pilot.inputs, "input")} projected ${usd(projected.likely)} (${usd(projected.low)} to ${usd(projected.high)} in 19 of 20 cases) for the ${many(pilot.rest, "input")} after it; ${count(pilot.rest_settled)} of them are settled, for ${usd(pilot.rest_usd)}.`) : null,
      bars.length > 1 ? chart("USD, actual and projected", alt, (width) => plot(width, {
        height: 44 + 34 * bars.length, marginLeft: 104, marginRight: 76, marginBottom: 34,
        x: { label: "USD", labelAnchor: "right", labelArrow: "none", grid: true, ticks: 5, zero: true }, y: { label: null, domain: bars.map((bar) => bar.what), padding: 0.35 },
        marks: [
          Plot.barX(bars, { y: "what", x: "usd", fill: (bar) => (bar.what === "projected" || bar.what === "budget" ? "var(--accent-soft)" : "var(--accent)") }),
          Plot.ruleY(bars.filter((bar) => bar.low !== undefined), { y: "what", x1: "low", x2: "high", stroke: "currentColor", strokeWidth: 1.5, marker: "tick" }),
          Plot.text(bars, { y: "what", x: (bar) => Math.max(bar.usd, bar.high || 0), text: (bar) => usd(bar.usd), dx: 6, textAnchor: "start", fill: "currentColor" }),
          Plot.ruleX([0]),
        ],
      })) : null,
      table("Where the cost comes from", [["", (row) => row[0], "text"], ["time", (row) => row[1], "number"], ["cost", (row) => row[2], "number"]], rows));
  }

  // ---- failures ----

  function failures() {
    const children = [];
    if (accounts.remaining) {
      children.push(make("h3", {}, `${many(accounts.remaining, "input")} ${accounts.remaining === 1 ? "remains" : "remain"}`),
        make("p", {}, `How their shards ended: ${counts(data.remaining.endings)}. Starting the same request again goes on with them.`));
      if (Object.keys(data.remaining.texts).length) children.push(table("What was told of them", [["class", (row) => row[0]], ["text", (row) => row[1], "text"]], Object.entries(data.remaining.texts)));
    }
    children.push(make("h3", {}, accounts.failed ? `${many(accounts.failed, "input")} failed for good` : "No input failed"));
    if (accounts.failed) {
      children.push(table("By class; failures.csv has a row for each input", [["class", (row) => code(row.class)], ["inputs", (row) => count(row.count), "number"], ["what it means", (row) => row.meaning, "text"], ["what to do", (row) => row.advice, "text"]], data.failures));
      const examples = data.failures.flatMap((row) => row.examples.map((one) => ({ ...one, class: row.class })));
      if (examples.length) children.push(table("Examples", [["class", (row) => code(row.class)], ["index", (row) => row.index, "number"], ["input", (row) => leaf(row.input), "text"], ["reason", (row) => row.reason, "text"], ["exit code", (row) => row.exit_code, "number"], ["log stream", (row) => row.log_stream, "code"]], examples));
    }
    if (data.interruptions.length) {
      children.push(make("h3", {}, "Starts of containers that did not end well"),
        make("p", {}, "These were survived: what they had begun went on in another attempt or round, unless it is counted above."),
        table("By class", [["class", (row) => code(row.class)], ["starts", (row) => count(row.count), "number"], ["what it means, and what to change if it is many", (row) => row.advice, "text"]], data.interruptions));
    }
    section("failures", "Failures", ...children);
  }

  // ---- provenance ----

  function provenance() {
    const told = data.provenance;
    section("provenance", "What ran on what",
      pairs("The run", [["run", code(run.run_id)], ["tool", run.tool], ["image", code(told.image)], ...(told.image_asked && told.image_asked !== told.image ? [["asked for as", code(told.image_asked)]] : []), ["drydock", run.drydock], ["input", code(told.input)], ["output", code(run.output)], ["seed", told.seed === null ? "none given" : String(told.seed)], ...Object.entries(told.tags).map(([name, value]) => [`tag ${name}`, value])]),
      Object.keys(told.options).length ? pairs("Options of the tool", Object.entries(told.options), "code") : null,
      told.assets.length ? table("Reference data, pinned when the run began", [["name", (row) => row.name], ["where", (row) => row.uri, "code"], ["objects", (row) => count(row.objects), "number"], ["size", (row) => size(row.bytes), "number"], ["ETag", (row) => row.etag || "", "code"]], told.assets) : null,
      pairs("Values of the newest epoch", Object.entries(told.values), "code"),
      table(told.epochs_in_all > told.epochs.length ? `The newest ${told.epochs.length} of ${told.epochs_in_all} epochs` : "Epochs: the times that the run was set going", [["epoch", (row) => count(row.epoch), "number"], ["started", (row) => time(row.started_at)], ["changed since the one before", (row) => row.changed.join(", "), "text"], ["image", (row) => row.image, "code"], ["execution", (row) => row.execution, "code"]], told.epochs));
    const files = [["top.csv", "the best molecules"], ["failures.csv", "failed inputs"], ["accounting.json", "every figure, of each shard too"], ["run.json", "what ran, whole"]];
    page.append(make("footer", {}, "Beside this page: ", ...files.flatMap(([name, what], position) => [position ? ", " : "", make("a", { href: name }, name), ` (${what})`]), `. Made by drydock ${run.drydock}; charts by Observable Plot and D3, molecules by SmilesDrawer.`));
  }

  // ---- together ----
  let onPaper = false;
  const fit = () => onPaper || charts.forEach((one) => redraw(one, Math.floor(one.place.clientWidth)));
  const navigate = head();
  for (const part of [accounting, molecules, scores, timeline, cost, failures, provenance]) part();
  navigate();
  fit();
  drawMolecules();
  new ResizeObserver(fit).observe(page);
  const details = [...document.querySelectorAll("details")];
  addEventListener("beforeprint", () => {
    onPaper = true;
    charts.forEach((one) => redraw(one, 680));
    details.forEach((one) => { [one.dataset.was, one.open] = [one.open, true]; });
  });
  addEventListener("afterprint", () => {
    onPaper = false;
    details.forEach((one) => { one.open = one.dataset.was === "true"; });
    fit();
  });
})();
