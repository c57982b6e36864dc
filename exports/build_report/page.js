// The page of a build: sheets of pictures, and every row by filters. Nothing is loaded; names are only ever text.
"use strict";

const PAGE_ROWS = 50, WAIT_MS = 120, MOST_SIBLINGS = 200;
const MAKERS = { accepted: "a person", consensus: "several people", machine_import: "a machine, imported", unreviewed: "a machine" };
const byId = id => document.getElementById(id);
const form = byId("filters"), detail = byId("detail"), pictures = byId("pictures");
let choices = null, passing = [], offset = 0, opened = -1, timer = 0, details = null;

function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node) node[name] = value; else node.setAttribute(name, value);
  }
  node.append(...children.filter(child => child !== null && child !== ""));
  return node;
}
const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

// Columns

async function unpack(id) {
  const bytes = Uint8Array.from(atob(byId(id).textContent), letter => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}
const cell = (column, row) => column.names ? column.names[column.codes[row]] ?? "" : column.values[row] ?? "";
const of = (name, row) => cell(choices[name], row);

// Filters

function test(name, wanted) {
  // What a column must say: "=NAME", "-" for nothing, "!" for another class than the figure's.
  const { names, codes } = choices[name];
  if (wanted === "-") return row => codes[row] < 0;
  if (wanted === "!") return row => codes[row] >= 0 && of(name, row) !== of("label", row);
  const code = names.indexOf(wanted.slice(1));
  return row => codes[row] === code;
}

function passes() {
  const tests = [];
  for (const [name, value] of new FormData(form)) {
    if (value && name !== "text") tests.push(test(name, value));
  }
  const text = form.elements.text.value.trim().toLowerCase();
  if (text) {
    const hit = name => choices[name].names.map(id => id.toLowerCase().includes(text));
    const images = hit("image_id"), donors = hit("ground_id");
    tests.push(row => images[choices.image_id.codes[row]] || donors[choices.ground_id.codes[row]]);
  }
  const rows = [];
  for (let row = 0; row < choices.config.codes.length; row += 1) {
    if (tests.every(one => one(row))) rows.push(row);
  }
  return rows;
}

function show() {
  passing = passes();
  offset = 0;
  byId("count").textContent = passing.length ? `${plural(passing.length, "row")} shown` : "No row passes all that is asked for.";
  draw();
}

function draw() {
  const lines = passing.slice(offset, offset + PAGE_ROWS).map(row => {
    const id = of("image_id", row), words = `${id.slice(0, 8)}, ${of("config", row)}`;
    const button = make("button", { type: "button", className: "link code", "aria-label": `Open photo ${words}`, title: id }, id.slice(0, 8));
    button.dataset.row = row;
    const cells = [...byId("found").tHead.querySelectorAll("[data-column]")].map(({ dataset, className }) => {
      const text = String(of(dataset.column, row));
      return make("td", { className }, dataset.column === "ground_id" ? make("span", { className: "code" }, text.slice(0, 8)) : text);
    });
    return make("tr", {}, make("th", { scope: "row" }, button), ...cells);
  });
  byId("found").tBodies[0].replaceChildren(...lines);
  const last = Math.min(passing.length, offset + PAGE_ROWS);
  byId("page").textContent = passing.length ? `${(offset + 1).toLocaleString("en")} to ${last.toLocaleString("en")} of ${passing.length.toLocaleString("en")}` : "";
  byId("before").disabled = offset === 0;
  byId("after").disabled = last >= passing.length;
}

function turn(by) {
  offset = Math.max(0, offset + by * PAGE_ROWS);
  draw();
  byId("found").querySelector("button")?.focus();
}

// A row

function facts(pairs) {
  const list = make("dl");
  for (const [name, value] of pairs) {
    if (value !== "" && value !== null) list.append(make("dt", {}, name), make("dd", {}, value instanceof Node ? value : String(value)));
  }
  return list;
}

function link(row, words) {
  const button = make("button", { type: "button", className: "link" }, words);
  button.dataset.row = row;
  return button;
}

function rowsOf(id) {
  const code = choices.image_id.names.indexOf(id), rows = [];
  if (code >= 0) choices.image_id.codes.forEach((other, row) => { if (other === code) rows.push(row); });
  return rows;
}

function donor(id) {
  const rows = rowsOf(id);
  return rows.length ? link(rows[0], id) : make("span", { className: "code" }, id);
}

function picture(row) {
  const frame = document.querySelector(`.tile[data-row="${row}"] .frame`);
  if (!frame) return make("p", { className: "quiet" }, "The page has no picture of this row; figureground view shows it.");
  const box = make("div", { className: "whole photo" }, frame.cloneNode(true));
  if (frame.querySelector(".picture") && frame.querySelector(".mask")) {
    const slider = make("input", { type: "range", className: "own", min: 0, max: 100, step: 5, "aria-label": "Opacity of the mask of this row, percent" });
    // As its tile shows it: over the photo itself the mask lies, over what was made of it only if that is asked for.
    slider.value = 100 * getComputedStyle(frame.querySelector(".mask")).opacity;
    box.style.setProperty("--mask", slider.value / 100);
    box.append(make("label", {}, "Mask ", slider));
  }
  return box;
}

function pretty(text) {
  try { return JSON.stringify(JSON.parse(text), null, 1); } catch { return text; }
}

const stored = () => details ??= unpack("details");  // provenance: once, before the first row opens or when nobody waits

async function open(row) {
  opened = row;
  const known = await stored(), id = of("image_id", row), area = of("area", row);
  if (opened !== row) return;
  byId("detail-title").textContent = [`Photo ${id.slice(0, 8)}`, of("config", row), of("part", row)].filter(Boolean).join(", ");
  const said = name => known[name] ? cell(known[name], row) : "";
  const about = facts([
    ["photo", make("span", { className: "code" }, id)], ["class", of("label", row)], ["label of the source", said("source_label")], ["config", of("config", row)],
    ["split", of("split", row)], ["attribute", of("part", row)], ["draw", of("draw", row)], ["donor's class", of("ground", row)],
    ["donor", of("ground_id", row) && donor(of("ground_id", row))], ["object's area", area === "" ? "" : `${area} % of the canvas`],
    ["box", [said("box")].flat().join(", ")], ["mask made by", MAKERS[of("state", row)] ?? of("state", row)],
  ]);
  const attributes = Object.keys(known).filter(name => name.startsWith("attributes.") && said(name) !== "");
  about.append(...facts([["attributes", attributes.map(name => `${said(name) ? "" : "not "}${name.slice(11)}`).join(", ")]]).children);
  const names = Object.keys(known).filter(name => name.startsWith("provenance.") && name !== "provenance.params");
  const origin = facts([...names, "shard"].map(name => [name.replace("provenance.", "").replaceAll("_", " "), said(name) === "" ? "" : make("span", { className: "code" }, String(said(name)))]));
  const params = said("provenance.params");
  const siblings = rowsOf(id).slice(0, MOST_SIBLINGS).map(other => {
    const words = [of("config", other), of("part", other), of("draw", other) ? `draw ${of("draw", other)}` : ""].filter(Boolean).join(", ");
    return make("li", {}, other === row ? make("b", {}, words) : link(other, words));
  });
  byId("detail-body").replaceChildren(
    make("div", {}, picture(row), make("h3", {}, "The photo's rows"), make("ul", { className: "siblings" }, ...siblings)),
    make("div", {}, about, make("h3", {}, "Provenance"), origin, params ? make("pre", { tabIndex: 0, role: "region", "aria-label": "Parameters" }, pretty(params)) : ""),
  );
  const around = neighbours();
  byId("earlier").disabled = around[0] === undefined;
  byId("later").disabled = around[1] === undefined;
  if (!detail.open) detail.showModal();
  detail.scrollTop = 0;
}

function neighbours() {
  // Among the rows that pass, else among all.
  const place = passing.indexOf(opened);
  if (place >= 0) return [passing[place - 1], passing[place + 1]];
  return [opened > 0 ? opened - 1 : undefined, opened + 1 < choices.config.codes.length ? opened + 1 : undefined];
}

function step(by) {
  const next = neighbours()[by < 0 ? 0 : 1];
  if (next !== undefined) open(next);
}

// Sheets

function setMask(input) {
  const share = input.value / 100;
  if (pictures.classList.contains("one") && pictures.contains(input)) setEvery(true);
  if (input.id !== "mask") return input.closest(".photo").style.setProperty("--mask", share);
  document.documentElement.style.setProperty("--mask", share);
  for (const one of pictures.querySelectorAll(".own")) {
    one.value = input.value;
    one.closest(".photo").style.removeProperty("--mask");
  }
}

function setEvery(every) {
  byId("every").checked = every;
  pictures.classList.toggle("every", every);
}

const tilesOf = list => [...list.querySelectorAll(".tile")].filter(tile => !tile.parentElement.hidden);

function rove(list, chosen) {
  // One tile of a class is a stop of the Tab key; arrows go from there.
  for (const tile of list.querySelectorAll(".tile[tabindex='0']")) tile.tabIndex = -1;
  const tile = chosen ?? tilesOf(list)[0];
  if (tile) tile.tabIndex = 0;
}

function choose() {
  const wanted = byId("variant").value;
  pictures.classList.toggle("one", wanted !== "");
  for (const tile of pictures.querySelectorAll(".tile")) tile.parentElement.hidden = wanted !== "" && tile.dataset.config !== wanted;
  pictures.querySelectorAll(".photos").forEach(list => rove(list));
}

function unfold(open) {
  for (const one of pictures.querySelectorAll("details.class")) one.open = open;
}

function move(event) {
  const tile = event.target.closest(".photos .tile"), list = tile?.closest(".photos");
  if (!list) return;
  const all = tilesOf(list), place = all.indexOf(tile), photos = [...list.children];
  const beside = by => {
    // The same variant of the next photo that has it; on a sheet of one variant, the next photo.
    for (let at = photos.indexOf(tile.closest(".photo")) + by; photos[at]; at += by) {
      const found = all.find(one => photos[at].contains(one) && one.dataset.config === tile.dataset.config);
      if (found) return found;
    }
  };
  const next = { ArrowLeft: () => all[place - 1], ArrowRight: () => all[place + 1], ArrowUp: () => beside(-1), ArrowDown: () => beside(1), Home: () => all[0], End: () => all.at(-1) }[event.key]?.();
  if (!next) return;
  event.preventDefault();
  rove(list, next);
  next.focus();
}

// Hands

document.addEventListener("input", event => { if (event.target.matches("#mask, .own")) setMask(event.target); });
document.addEventListener("click", event => {
  const button = event.target.closest("[data-row]");
  if (!button || !choices) return;
  const list = button.closest(".photos");
  if (list) rove(list, button);
  open(Number(button.dataset.row));
});
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (!detail.open) return move(event);
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (by && !event.target.closest("input, pre")) { event.preventDefault(); step(by); }
});
function changed() { clearTimeout(timer); timer = setTimeout(show, WAIT_MS); }
form.addEventListener("input", changed);
form.addEventListener("reset", () => setTimeout(changed));
form.addEventListener("submit", event => event.preventDefault());
byId("every")?.addEventListener("change", event => setEvery(event.target.checked));
byId("variant").addEventListener("change", choose);
byId("unfold").addEventListener("click", () => unfold(true));
byId("before").addEventListener("click", () => turn(-1));
byId("after").addEventListener("click", () => turn(1));
byId("earlier").addEventListener("click", () => step(-1));
byId("later").addEventListener("click", () => step(1));
byId("close").addEventListener("click", () => detail.close());
addEventListener("beforeprint", () => unfold(true));

pictures.querySelectorAll(".photos").forEach(list => rove(list));
unpack("choices").then(found => {
  choices = found;
  show();
  document.body.dataset.ready = "yes";
  requestIdleCallback(() => stored());
}).catch(error => {
  byId("count").className = "wrong";
  byId("count").textContent = `The rows cannot be read in this browser: ${error.message}`;
});
